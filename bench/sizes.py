"""How much is measured: the whole, or the smaller version that takes less than two minutes."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rounds and amounts. `indicative` runs are too short to be judged by their medians."""

    indicative: bool
    rounds: int
    seconds: int
    """Of load, for each side in each round."""
    warm_up: int
    """Seconds of load before the rounds; with none the first round is the colder one for every side."""
    rows: int
    """Rows of a file that is checked."""
    items: int
    """Rows of an export."""
    few_items: int
    """Rows of the smaller export, and of the smaller file that is checked, that memory is compared with."""
    imported: int
    """Rows of a file that is imported, and ten times those of the smaller one."""
    few_old: int
    old: int
    """Orders, and clicks, of a short and of a long history."""


FULL: Final = Sizes(
    indicative=False,
    rounds=5,
    seconds=3,
    warm_up=1,
    rows=1_000_000,
    items=1_000_000,
    few_items=100_000,
    imported=100_000,
    few_old=10_000,
    old=1_000_000,
)
QUICK: Final = Sizes(
    indicative=True,
    rounds=1,
    seconds=1,
    warm_up=0,
    rows=200_000,
    items=20_000,
    few_items=10_000,
    imported=20_000,
    few_old=5_000,
    old=20_000,
)
CONNECTIONS: Final = 64
NEW_ORDERS: Final = 1_000
"""Orders of the export whose cost must not grow with the history."""
