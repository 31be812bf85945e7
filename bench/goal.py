"""What a row says: figures taken in pairs become ratios, and their median meets the row's goal or misses it."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Self


class NotRun(Exception):
    """Something that a row needs is missing; the sentence says what, and how to get it."""


class Broken(Exception):
    """What was measured did not do its work: answers were refused, or rows are missing."""


class Verdict(StrEnum):
    """What became of a row."""

    MET = "met"
    MISSED = "missed"
    TOLD = "no goal"
    NOT_RUN = "not run"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Goal:
    """At least, or at most, so much. Missing `limit` fails a run, missing `stretch` does not; both may be left out."""

    sign: Literal["≥", "≤"]
    limit: float | None = None
    stretch: float | None = None

    def allows(self, value: float, bound: float) -> bool:
        """Say whether a figure is on the right side of a bound, or on it."""
        return value >= bound if self.sign == "≥" else value <= bound

    def __str__(self) -> str:
        limit = "" if self.limit is None else f"{self.sign} {self.limit:g}"
        stretch = "" if self.stretch is None else f"stretch {self.sign} {self.stretch:g}"
        return ", ".join(part for part in (limit, stretch) if part) or "none"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `job` is what is measured, `peer` what it is compared with, "" if with nothing.

    `figure` is the unit of what is taken in each round. A row without a peer is judged by that figure itself.
    """

    key: str
    job: str
    peer: str
    goal: Goal
    figure: str

    @property
    def unit(self) -> str:
        """The unit of what is judged."""
        return "×" if self.peer else self.figure


@dataclass(frozen=True, slots=True)
class Result:
    """What the rounds gave: `ours` and `peer` round by round, or the `reason` why there is nothing."""

    row: Row
    ours: tuple[float, ...] = ()
    peer: tuple[float, ...] = ()
    reason: str = ""
    is_broken: bool = False

    @classmethod
    def of(cls, row: Row, ours: Sequence[float], peer: Sequence[float] = ()) -> Self:
        """Return the result of the rounds; a row with a peer has as many figures of it."""
        if not ours or len(peer) != (len(ours) if row.peer else 0):
            raise ValueError(f"{row.key}: {len(ours)} figures of ours, {len(peer)} of the peer")
        return cls(row, tuple(ours), tuple(peer))

    @property
    def values(self) -> tuple[float, ...]:
        """What is judged, round by round: ours ÷ peer, or ours."""
        return tuple(own / other for own, other in zip(self.ours, self.peer, strict=True)) if self.peer else self.ours

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of the rounds."""
        return min(self.values), max(self.values)

    @property
    def verdict(self) -> Verdict:
        """What became of the row."""
        if self.reason:
            return Verdict.BROKEN if self.is_broken else Verdict.NOT_RUN
        if self.row.goal.limit is None:
            return Verdict.TOLD
        return Verdict.MET if self.row.goal.allows(self.median, self.row.goal.limit) else Verdict.MISSED

    @property
    def stretch_is_met(self) -> bool | None:
        """Whether the stretch is met too; None without one."""
        if self.reason or self.row.goal.stretch is None:
            return None
        return self.row.goal.allows(self.median, self.row.goal.stretch)

    def fails(self, *, indicative: bool) -> bool:
        """Say whether this row fails the run.

        An indicative run is too short to judge by a median: there a goal is missed when every round missed it, and
        what could not be run is only told.
        """
        goal = self.row.goal
        match self.verdict:
            case Verdict.BROKEN:
                return True
            case Verdict.NOT_RUN:
                return goal.limit is not None and not indicative
            case Verdict.MISSED if indicative:
                return not any(goal.allows(value, goal.limit or 0) for value in self.values)
            case verdict:
                return verdict is Verdict.MISSED


@dataclass(slots=True)
class Rounds:
    """Figures by name, one more of each in every round."""

    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, figure: float) -> None:
        """Take down a figure."""
        self.figures.setdefault(name, []).append(figure)

    def result(self, row: Row, ours: str, peer: str = "") -> Result:
        """Return a row from the figures of two names."""
        return Result.of(row, self.figures[ours], self.figures[peer] if peer else ())


def alternating(rounds: int, sides: Mapping[str, Callable[[], None]]) -> None:
    """Let each side have its turn in every round; every other round goes backwards, so that none is always first."""
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            sides[name]()
