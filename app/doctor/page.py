"""What stands in a page of the shop: the snippet, and the policies that may block it or its call."""

import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

from app.doctor.finding import Finding, Status
from app.doctor.policy import Element, blocks_call, blocks_script, policies
from app.doctor.site import origin_text
from app.doctor.web import Page, Unreached, Web, get, plain

OK: Final = 200
_SNIPPET: Final = re.compile(r"/capture(?:-[0-9a-f]{20})?\.js")


class _Reader(HTMLParser):
    """Collects script elements and the policies of meta elements."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[Element] = []
        self.policies: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element."""
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and given.get("src"):
            self.scripts.append(Element(given["src"], given.get("nonce", ""), given.get("integrity", "")))
        elif tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self.policies.append(given.get("content", ""))


def page_findings(page: Page, tracking: str) -> Iterator[Finding]:
    """See whether the page has the snippet, and may load it and call."""
    reader = _Reader()
    with suppress(AssertionError):  # what Python's reader says of some things that are no HTML; what came before counts
        reader.feed(page.body)
    element = next((one for one in reader.scripts if _is_snippet(one.src, page.url, tracking)), None)
    if element:
        yield Finding("snippet", Status.OK, f"{plain(page.url)} has the snippet.")
    else:
        told = f"{plain(page.url)} has no element for the snippet"
        yield Finding("snippet", Status.OK, f"{told}: right if a tag manager adds it, or the shop's server calls.")
    yield from _policy_findings(page, reader.policies, tracking.rstrip("/"), element)


def _policy_findings(page: Page, metas: list[str], base: str, element: Element | None) -> Iterator[Finding]:
    found = policies([*page.headers.get_list("content-security-policy"), *metas])
    script = urljoin(page.url, element.src) if element else f"{base}/capture.js"
    blocked = [blocks_script(one, script, page.url, element) for one in found]
    blocked += [blocks_call(one, f"{base}/capture", page.url) for one in found]
    names = [name for name in dict.fromkeys(blocked) if name]
    for name in names:
        told = f"The Content Security Policy of {plain(page.url)} blocks the snippet by {name}."
        nonce = ", or give the element the page's nonce" if name != "connect-src" else ""
        repair = f"Add {origin_text(base)} to script-src and connect-src{nonce}."
        yield Finding("csp", Status.FAILURE, told, repair)
    if not names:
        told = "Its policies let the snippet load and call" if found else "No Content Security Policy is in the way"
        yield Finding("csp", Status.OK, f"{told} ({plain(page.url)}).")


def _is_snippet(src: str, page: str, tracking: str) -> bool:
    try:
        url = plain(urljoin(page, src))
    except ValueError:
        return False
    return bool(_SNIPPET.fullmatch(url.removeprefix(tracking.rstrip("/")))) or url.endswith("/capture.js")


def snippet_answers(web: Web, tracking: str) -> Iterator[Finding]:
    """See whether the script itself is there."""
    url = f"{tracking.rstrip('/')}/capture.js"
    try:
        with web.visitor() as visitor:
            answer = get(visitor, url)
    except Unreached as why:
        yield Finding("tracking", Status.FAILURE, str(why), "See that browsers can reach --tracking.")
        return
    if answer.status == OK and "javascript" in answer.headers.get("content-type", ""):
        yield Finding("tracking", Status.OK, f"{url} is served.")
    else:
        repair = "See that this is the service's address, and that a proxy hands /capture.js on to it."
        yield Finding("tracking", Status.FAILURE, f"{url} answers {answer.status}, and no script.", repair)
