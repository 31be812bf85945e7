"""What came of a shop's orders, counted where their files arrived, and of the attempts to deliver them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.crash.oracle import Body, Facts, Key, Rules, expected_state, key_of
from tests.support import parse_rfc4180

Arrivals = Sequence[tuple[str, bytes]]
"""Name and bytes of each file that arrived, also of one that came again."""


@dataclass(frozen=True)
class Tally:
    """The counts. `repeated`: deliveries that followed one whose outcome was not known; `wrong`: what must not be."""

    repeated: int
    lost: int
    doubled: int
    altered: int
    wrong: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return {name: value for name, value in asdict(self).items() if name != "wrong"}


def tally(facts: Facts, acknowledged: Sequence[Body], rules: Rules, arrived: Arrivals | None) -> Tally:
    """Count, when all is delivered; without `arrived` the receiver cannot tell how often a file came.

    A server may take the part that a killed sender has left for a file: the same bytes as far as they go.
    """
    batches = {batch["filename"]: batch for batch in facts.batches.values()}
    places = Counter(key for batch in batches.values() for key in _orders(batch, facts.files))
    due = {key_of(body) for body in acknowledged if expected_state(body, rules) == "delivered"}
    whole = [name for name, content in arrived or () if name in batches and content == batches[name]["content"]]
    came = [one for one in (*facts.files.items(), *(arrived or ())) if one[0] in batches]
    return Tally(
        repeated=sum(max(len(history) - 1, 0) for history in facts.histories.values()),
        lost=len(due - places.keys()),
        doubled=sum(count > 1 for count in places.values()),
        altered=sum(not batches[name]["content"].startswith(content) for name, content in came),
        wrong=tuple(_wrong(facts, Counter(whole))),
    )


def _orders(batch: Mapping[str, Any], files: Mapping[str, bytes]) -> set[Key]:
    """Return the orders in a batch's file as it arrived."""
    rows = list(parse_rfc4180(files.get(batch["filename"], b"")))[1:]
    return {(batch["event_type"], row[3]) for row in rows}


def _wrong(facts: Facts, came: Counter[str]) -> Iterator[str]:
    """Say what was sent again other than after an outcome that is not known, or with no attempt on record."""
    for number, history in facts.histories.items():
        name, earlier = facts.batches[number]["filename"], history[:-1]
        if set(earlier) - {"unknown"}:
            yield f"{name} was sent again after {', '.join(earlier)}"
        if came[name] > len(history):
            yield f"{name} arrived {came[name]} times in {len(history)} attempts"
