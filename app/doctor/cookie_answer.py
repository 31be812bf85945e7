"""One call of /capture as the snippet makes it from a page, and the cookie that comes back; nothing of it stays."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import httpx

from app.clicks.click import SECONDS_PER_DAY
from app.clicks.cookie import cookie_domain
from app.config import Settings
from app.doctor.finding import Finding, Status
from app.doctor.journey import Click, new_click
from app.doctor.site import Relation, origin, origin_text, relation
from app.doctor.web import Page, Unreached, Web, get

FORBIDDEN: Final = 403
DONE: Final = 204
FETCH_SITE: Final = {
    Relation.SAME_ORIGIN: "same-origin",
    Relation.SAME_SITE: "same-site",
    Relation.OTHER_SITE: "cross-site",
}


class Cookie(NamedTuple):
    """A Set-Cookie header; names of attributes in lower case."""

    name: str
    value: str
    attributes: Mapping[str, str]


def cookie_answer(web: Web, settings: Settings, page: str, tracking: str) -> Iterator[Finding]:
    """Call as a page would, look at what comes back, and have it forgotten."""
    click = new_click(settings.parameters, settings.cookie_name)
    called = origin_text(page)
    headers = {"Origin": called, "Referer": f"{called}/", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    headers["Sec-Fetch-Site"] = FETCH_SITE[relation(page, tracking)]
    capture = f"{tracking.rstrip('/')}/capture"
    with web.visitor() as visitor:
        try:
            answer = get(visitor, _with(capture, click, "granted"), headers)
        except Unreached as why:
            yield Finding("cookie", Status.FAILURE, str(why), "See that browsers can reach --tracking.")
            return
        yield from _judged(answer, settings, click, page, capture)
        if answer.status == DONE:
            yield from _forgotten(visitor, _with(capture, click, "denied"), headers)


def _with(capture: str, click: Click, consent: str) -> str:
    return f"{click.added_to(capture)}&consent={consent}"


def _judged(answer: Page, settings: Settings, click: Click, page: str, capture: str) -> Iterator[Finding]:
    if answer.status == FORBIDDEN:
        repair = f"Name {origin_text(page)} in CAPTURE_STOREFRONT_ORIGINS; if that is the service's own address, have"
        repair += " the proxy hand on Host and X-Forwarded-Proto, and name it in CAPTURE_TRUSTED_PROXIES."
        yield Finding("call", Status.FAILURE, f"{capture} refuses calls from {origin_text(page)} (403).", repair)
        return
    if answer.status != DONE:
        repair = "See that this is the service's address, and that a proxy hands /capture on to it as it is."
        yield Finding("call", Status.FAILURE, f"{capture} answers {answer.status} instead of 204.", repair)
        return
    yield _readable(answer, page, capture)
    faults = [*_cookie_faults(answer, settings, click, page, capture)]
    yield from (Finding("cookie", Status.FAILURE, *fault) for fault in faults)
    if not faults:
        days = settings.cookie_days
        yield Finding("cookie", Status.OK, f"{capture} sets {click.cookie} as the settings have it, for {days} days.")


def _readable(answer: Page, page: str, capture: str) -> Finding:
    """Say whether the browser lets the page's call carry cookies; at the same origin it does in any case."""
    allowed = answer.headers.get("access-control-allow-origin"), answer.headers.get("access-control-allow-credentials")
    wanted = origin_text(page)
    if relation(page, capture) is not Relation.SAME_ORIGIN and allowed != (wanted, "true"):
        told = f"{capture} does not say that {wanted} may call with cookies (Access-Control-Allow-…)."
        return Finding("call", Status.FAILURE, told, "Have the proxy leave these headers as the service sends them.")
    return Finding("call", Status.OK, f"Pages of {wanted} may call {capture}.")


# What the cookie has to be ----------------------------------------------------------------------------------------


def _cookie_faults(
    answer: Page, settings: Settings, click: Click, page: str, capture: str
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the cookie, and the repair."""
    cookies = [one for one in map(_cookie, answer.headers.get_list("set-cookie")) if one.name == click.cookie]
    ours = [one for one in cookies if one.value == click.id]
    if not ours:
        other = "with another visitor's click: a cache keeps its answers" if cookies else "without the cookie"
        repair = "Let no cache keep /capture (it says no-store), and no proxy take Set-Cookie away; see also whether"
        yield f"{capture} answers {other}.", f"{repair} --tracking runs with these settings."
        return
    attributes, host, shop = ours[-1].attributes, origin(capture)[1], origin(page)[1]
    domain = attributes.get("domain", "").lstrip(".").lower()
    seen = shop == domain or shop.endswith(f".{domain}") if domain else shop == host
    if not seen:
        told = f"The cookie of {host} is for {domain or 'that host alone'}, and pages of {shop} do not see it."
        yield told, "Set CAPTURE_COOKIE_DOMAIN to the domain that both share, or to auto."
    elif domain != (cookie_domain(settings.cookie_domain, host) or ""):
        told = f"The cookie is for {domain or host}, which CAPTURE_COOKIE_DOMAIN does not come to at {host}."
        yield told, "See that the proxy hands the Host header on, and does not rewrite cookies."
    for name, wanted in _wanted(settings).items():
        if attributes.get(name) != wanted:
            told = f"The cookie has {_said(name, attributes.get(name))} instead of {_said(name, wanted)}."
            yield told, "See that no proxy rewrites cookies, and that --tracking runs with these settings."


def _wanted(settings: Settings) -> dict[str, str | None]:
    """Return the attributes by the settings; None is one that must not be there."""
    return {
        "path": "/",
        "samesite": "Lax",
        "secure": "" if settings.cookie_secure else None,
        "httponly": "" if settings.cookie_httponly else None,
        "max-age": str(settings.cookie_days * SECONDS_PER_DAY),
    }


def _said(name: str, value: str | None) -> str:
    return f"no {name}" if value is None else f"{name}={value}" if value else name


def _cookie(header: str) -> Cookie:
    first, *rest = [part.strip() for part in header.split(";")]
    name, _, value = first.partition("=")
    pairs = (part.partition("=") for part in rest)
    return Cookie(name, value, {key.strip().lower(): text.strip() for key, _, text in pairs})


def _forgotten(visitor: httpx.Client, forget: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    """Have the click deleted, as a visitor who withdraws consent does."""
    try:
        status: int | str = get(visitor, forget, headers).status
    except Unreached as why:
        status = str(why)
    if status != DONE:
        told = f"The made-up click of this look was not deleted ({status}); its id begins with doctor-."
        yield Finding("cookie", Status.WARNING, told, "No order names it, and it goes with old clicks.")
