"""Faults that are planted, at the start or while the sandbox runs: the same ones every time.

- `{"reject": "A-1001", "reason": "CONTRACT_NOT_FOUND"}`
- `{"answer": "429", "method": "POST", "path": "Conversions", "times": 3}`
- `{"answer": "timeout", "after": true, "share": 0.1, "seed": 7}`
- `{"lose": "*_ActionData_*", "times": 1}`
- `{"delay": 60, "file": "*.csv"}`
- `{"approve": "A-1001"}` and `{"lock": "A-1001"}`
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

STATUSES: Final = ("400", "401", "402", "403", "404", "405", "429", "500", "502", "503", "504", "520")
ANSWERS: Final = (*STATUSES, "html", "truncated", "huge", "redirect", "timeout", "cut")
KINDS: Final = {
    "reject": {"reason"},
    "answer": {"method", "path", "times", "share", "seed", "after", "seconds"},
    "lose": {"times"},
    "delay": {"file"},
    "approve": set[str](),
    "lock": set[str](),
}
"""What a fault is, and what may be said of it."""


class UnknownFault(ValueError):
    """A fault that cannot be planted; the sentence says why."""


@dataclass
class Misdeed:
    """What happens to calls of the API instead of an answer, or, `after`, once the call has done what it should."""

    answer: str
    method: str
    path: re.Pattern[str]
    left: int | None
    share: Any
    draw: random.Random
    after: bool
    seconds: int

    def strikes(self, method: str, path: str) -> bool:
        """Say whether it happens to this call."""
        if self.left == 0 or self.method not in {"", method} or not self.path.search(path):
            return False
        if self.share is not None and self.draw.random() >= self.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass
class Faults:
    """What is planted."""

    rejections: dict[str, str] = field(default_factory=dict)
    misdeeds: list[Misdeed] = field(default_factory=list)
    losses: list[tuple[str, list[None]]] = field(default_factory=list)
    delays: list[tuple[str, int]] = field(default_factory=list)

    def plant(self, wish: Mapping[str, Any]) -> None:
        """Add a fault. Raises UnknownFault."""
        kind = _kind(wish)
        if kind == "reject":
            self.rejections[_text(wish, "reject")] = _text(wish, "reason")
        elif kind == "answer":
            self.misdeeds.append(_misdeed(wish))
        elif kind == "lose":
            self.losses.append((_text(wish, "lose"), [None] * (_number(wish, "times") or 1)))
        elif kind == "delay":
            self.delays.append((str(wish.get("file", "*")), _number(wish, "delay") or 0))

    def clear(self) -> None:
        """Take all of them away."""
        self.rejections.clear()
        self.misdeeds.clear()
        self.losses.clear()
        self.delays.clear()

    def misdeed(self, method: str, path: str) -> Misdeed | None:
        """Return what happens to a call."""
        return next((one for one in self.misdeeds if one.strikes(method, path)), None)

    def loses(self, name: str) -> bool:
        """Say whether a file gets lost, which uses the fault up."""
        for pattern, left in self.losses:
            if left and fnmatchcase(name, pattern):
                left.pop()
                return True
        return False

    def delay(self, name: str) -> int:
        """Return by how many seconds a file is late."""
        return sum(seconds for pattern, seconds in self.delays if fnmatchcase(name, pattern))


def _kind(wish: Mapping[str, Any]) -> str:
    kinds = [kind for kind in KINDS if kind in wish]
    if len(kinds) != 1:
        raise UnknownFault(f"a fault has exactly one of {', '.join(KINDS)}")
    unknown = set(wish) - KINDS[kinds[0]] - {kinds[0]}
    if unknown:
        raise UnknownFault(f"{kinds[0]!r} knows no {', '.join(map(repr, sorted(unknown)))}")
    return kinds[0]


def _misdeed(wish: Mapping[str, Any]) -> Misdeed:
    answer, share = str(wish["answer"]), wish.get("share")
    if answer not in ANSWERS:
        raise UnknownFault(f"answer: one of {', '.join(ANSWERS)}")
    if share is not None and (isinstance(share, bool | str) or not 0 <= share <= 1):
        raise UnknownFault("share: a number from 0 to 1")
    if not isinstance(wish.get("after", False), bool):
        raise UnknownFault("after: true or false")
    try:
        path = re.compile(str(wish.get("path", "")))
    except re.error as error:
        raise UnknownFault(f"path: no regular expression: {error}") from None
    times = _number(wish, "times")
    times = 1 if times is None and share is None else times
    draw = random.Random(_number(wish, "seed") or 0)  # noqa: S311 (the same faults every time, nothing secret)
    seconds = _number(wish, "seconds")
    return Misdeed(
        answer, str(wish.get("method", "")).upper(), path, times, share, draw, wish.get("after", False),
        60 if seconds is None else seconds,
    )  # fmt: skip


def _number(wish: Mapping[str, Any], name: str) -> int | None:
    value = wish.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise UnknownFault(f"{name}: a whole number, not below 0")
    return value


def _text(wish: Mapping[str, Any], name: str) -> str:
    value = wish.get(name)
    if not isinstance(value, str) or not value:
        raise UnknownFault(f"{name}: a text is needed")
    return value
