"""The snippet as it is served: small, the same for the same settings, with the server's settings in it."""

import base64
import gzip
import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.snippet import SOURCE, Snippet, Written, minified, snippet, write_in

PLAIN = Written(
    cookie_name="im_ref",
    cookie_days=30,
    cookie_domain=("auto",),
    cookie_secure=True,
    cookie_httponly=False,
    parameters=("im_ref", "irclickid"),
    linked_domains=(),
    consent="implied",
    honor_gpc=True,
)
READABLE = SOURCE.read_text("utf-8")


def test_it_is_small() -> None:
    """At most 1,700 bytes after gzip -9, with everything in it: a landing page must not wait for it."""
    assert len(gzip.compress(snippet(PLAIN).content, 9)) <= 1_700


def test_it_needs_no_modern_browser() -> None:
    """ES2015: none of what came later is in the text that browsers read."""
    text = snippet(PLAIN).content.decode()
    assert not re.search(r"\?\?|\?\.|\basync\b|\bawait\b|\*\*|catch\s*\{|\{\s*\.\.\.|\(\?<|\beval\b|\bFunction\(", text)


def test_it_keeps_to_itself() -> None:
    """One closure: nothing but its own name is put where the page's scripts can see it."""
    text = snippet(PLAIN).content.decode()
    assert text.startswith("(()=>{")
    assert set(re.findall(r"window\.(\w+)=[^=]", text)) == {"conversionCapture"}


def test_the_readable_source_has_the_usual_settings() -> None:
    """What stands in the repository is what a service without settings of its own serves."""
    assert write_in(READABLE, PLAIN) == READABLE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cookie_name": "cc"}, 'cookieName = "cc",'),
        ({"cookie_days": 7}, "cookieDays = 7,"),
        ({"parameters": ("partner",)}, 'parameters = "partner",'),
        ({"linked_domains": ("a.example", "*.b.example")}, 'linkedDomains = "a.example,*.b.example",'),
        ({"consent": "required"}, 'consent = "required",'),
        ({"honor_gpc": False}, "const refused = false;"),
        ({"cookie_domain": ("host",)}, "const domains = [];"),
        ({"cookie_domain": ("b.example", "a.b.example")}, 'const domains = ["a.b.example", "b.example"];'),
        ({"cookie_secure": False}, '"; Path=/; SameSite=Lax";'),
        ({"cookie_httponly": True}, "if (true) {"),
    ],
)
def test_the_servers_settings_are_written_in(change: dict[str, Any], expected: str) -> None:
    """The two cannot disagree, since there is only one place to set them."""
    written = write_in(READABLE, replace(PLAIN, **change))
    assert expected in written
    assert expected not in READABLE
    assert snippet(replace(PLAIN, **change)).name != snippet(PLAIN).name


@given(st.text(), st.text())
def test_a_source_without_a_place_is_refused(before: str, after: str) -> None:
    """A setting that would silently not arrive stops the service's own tests instead."""
    with pytest.raises(ValueError, match="stands 0 times"):
        write_in(f"{before}/{after}", PLAIN)


def test_the_hashes_are_those_of_the_bytes() -> None:
    """`integrity` (SHA-384) is what browsers compute, and both forms hold the same script."""
    served = snippet(PLAIN)
    assert served.integrity == "sha384-" + base64.b64encode(hashlib.sha384(served.content).digest()).decode()
    assert served.name == hashlib.sha256(served.content).hexdigest()[:20]
    assert gzip.decompress(served.compressed) == served.content
    assert Snippet(served.content).compressed == served.compressed


def test_without_the_minifier_it_is_only_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the minifier has no package, the readable script is served."""
    monkeypatch.setitem(__import__("sys").modules, "minify", None)
    assert minified(READABLE) == READABLE
