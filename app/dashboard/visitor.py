"""A person before the dashboard: what they may do, and where they may be sent back to."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from app.security import Right

_WITHIN: Final = re.compile(r"/dashboard(?:[/?][!-\[\]-~]*)?")
"""Printable ASCII without a backslash, which browsers take for a slash."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in. What their keys may do was looked up just now."""

    token: str = field(repr=False)
    key_hashes: frozenset[str]
    rights: frozenset[Right]
    ends_at: datetime

    def may(self, right: Right) -> bool:
        """Say whether one of their keys has a right."""
        return right in self.rights

    @property
    def form_token(self) -> str:
        """What each form of theirs has in it, and a page of another site cannot know."""
        return hmac.new(self.token.encode(), b"dashboard form", hashlib.sha256).hexdigest()


def token_hash(token: str) -> str:
    """Return what is kept of a cookie's token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def is_within(path: str) -> bool:
    """Say whether a path, with its query, leads to a page of the dashboard and nowhere else."""
    steps = unquote(re.split("[?#]", path, maxsplit=1)[0]).replace("\\", "/").split("/")
    return _WITHIN.fullmatch(path) is not None and ".." not in steps
