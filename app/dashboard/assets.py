"""What pages load beside their text: named by its content, so that a browser may keep it for ever."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).with_name("static")
PREFIX: Final = "/dashboard/static/"
MEDIA_TYPES: Final = {
    "dashboard.css": "text/css; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "fallback.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent, plain and compressed."""

    media_type: str
    content: bytes
    compressed: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return all files by the names that they are asked for by."""
    return {hashed: _read(name) for name, hashed in _names().items()}


def address(name: str) -> str:
    """Return the path of a file; its name has the beginning of the content's SHA-256 in it."""
    return PREFIX + _names()[name]


@cache
def _names() -> dict[str, str]:
    return {name: _hashed(name) for name in MEDIA_TYPES}


def _hashed(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:16]}.{suffix}"


def _read(name: str) -> Asset:
    content = (STATIC / name).read_bytes()
    return Asset(MEDIA_TYPES[name], content, gzip.compress(content, mtime=0))
