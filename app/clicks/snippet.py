"""The browser snippet: `snippet.js` with the server's own settings written in, minified, compressed, and named by hash.

Cookie name, days, domain and attributes, parameters, linked domains, consent and the meaning of Global Privacy Control
come from the same settings as the server's own cookie, so that the two cannot disagree.
"""

import base64
import gzip
import hashlib
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).with_name("snippet.js")
NAME_LENGTH: Final = 20


@dataclass(frozen=True, slots=True)
class Written:
    """The settings that are written in. `cookie_domain` as in CAPTURE_COOKIE_DOMAIN."""

    cookie_name: str
    cookie_days: int
    cookie_domain: tuple[str, ...]
    cookie_secure: bool
    cookie_httponly: bool
    parameters: tuple[str, ...]
    linked_domains: tuple[str, ...]
    consent: str
    honor_gpc: bool


@dataclass(frozen=True)
class Snippet:
    """The script as it is served."""

    content: bytes

    @property
    def name(self) -> str:
        """The hash in the immutable address `/capture-<hash>.js`."""
        return hashlib.sha256(self.content).hexdigest()[:NAME_LENGTH]

    @property
    def integrity(self) -> str:
        """The value for a script element's `integrity` (W3C Subresource Integrity)."""
        return f"sha384-{base64.b64encode(hashlib.sha384(self.content).digest()).decode()}"

    @cached_property
    def compressed(self) -> bytes:
        """The script after gzip -9, always the same bytes for the same script."""
        return gzip.compress(self.content, 9, mtime=0)


@cache
def snippet(written: Written) -> Snippet:
    """Return the script for these settings."""
    return Snippet(minified(write_in(SOURCE.read_text("utf-8"), written)).encode())


def write_in(source: str, written: Written) -> str:
    """Return the readable script with the settings in their places. Raises ValueError if a place is missing."""
    for name, value in _defaults(written).items():
        source = _replaced(source, rf"(?<=^      {name} = ).*(?=,$)", _literal(value))
    for setting, line in _lines(written).items():
        source = _replaced(source, rf"\S.*(?= // {setting}$)", line)
    return source


def _defaults(written: Written) -> Mapping[str, str | int]:
    return {
        "cookieName": written.cookie_name,
        "cookieDays": written.cookie_days,
        "parameters": ",".join(written.parameters),
        "linkedDomains": ",".join(written.linked_domains),
        "consent": written.consent,
    }


def _lines(written: Written) -> Mapping[str, str]:
    """Return the lines that are not as in the source, by the setting that stands behind them there."""
    lines = {}
    if not written.honor_gpc:
        lines["CAPTURE_HONOR_GPC"] = "const refused = false;"
    if written.cookie_domain != ("auto",):
        # The one that fits is accepted first; none is left, for `host`, but the host itself.
        domains = sorted((one for one in written.cookie_domain if one != "host"), key=len, reverse=True)
        lines["CAPTURE_COOKIE_DOMAIN"] = f"const domains = {_literal(domains)};"
    if not written.cookie_secure:
        lines["CAPTURE_COOKIE_SECURE"] = '"; Path=/; SameSite=Lax";'
    if written.cookie_httponly:  # a script cannot know whether there is a click to forget
        lines["CAPTURE_COOKIE_HTTPONLY"] = "if (true) {"
    return lines


def _literal(value: Any) -> str:
    """Return a JavaScript literal; the settings' own rules keep out what would need more than JSON's escapes."""
    return json.dumps(value)


def _replaced(source: str, pattern: str, text: str) -> str:
    replaced, count = re.subn(pattern, lambda _: text, source, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{pattern} stands {count} times in {SOURCE.name}")
    return replaced


def minified(source: str) -> str:
    """Return the script without what only people need. Where the minifier cannot be installed it stays as it is."""
    try:
        minifier: Any = importlib.import_module("minify")
    except ImportError:
        return source
    minifier.config({"js-version": 2015})
    text: str = minifier.string("text/javascript", source)
    return text
