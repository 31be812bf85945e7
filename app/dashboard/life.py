"""The life of an order as a line: the stations that it comes by, what happened at each, and which are still to come."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from app.dashboard.links import batch_of
from app.dashboard.words import tone
from app.ledger.explanation import Stage, Step
from app.ledger.state import OrderState

NAMES: Final = {
    Stage.CLICK: "Landing",
    Stage.ORDER: "Order",
    Stage.EXPORT: "Left out",
    Stage.BATCH: "Batch",
    Stage.DELIVERY: "Delivery",
    Stage.SUBMISSION: "impact.com's answer",
    Stage.CORRECTION: "Corrections",
    Stage.ACTION: "Action at impact.com",
}
WAY: Final = (Stage.CLICK, Stage.ORDER, Stage.BATCH, Stage.DELIVERY, Stage.SUBMISSION)
"""The stations that every order is meant to come by."""
_FILE: Final = re.compile(r"\d{4}-\d\d-\d\d_(?:Action|Modification)Data_\S+?\.csv")
AT_AN_END: Final = frozenset({OrderState.CANCELLED, OrderState.EXPIRED})


@dataclass(slots=True)
class Station:
    """A station of an order's way; without steps it is still to come. `tone` is how it went."""

    name: str
    steps: list[Step] = field(default_factory=list)
    tone: str = "to-come"

    @property
    def is_reached(self) -> bool:
        """Whether something happened there."""
        return bool(self.steps)

    @property
    def batch_id(self) -> str | None:
        """The batch whose file its last step names."""
        named = _FILE.search(self.steps[-1].text) if self.steps else None
        return named and batch_of(named[0])

    @property
    def at(self) -> datetime | None:
        """When the last thing happened there, as far as it is known."""
        return next((step.at for step in reversed(self.steps) if step.at is not None), None)


def line_of(steps: Sequence[Step], state: OrderState) -> list[Station]:
    """Return the stations of an order in the order of its life: an order that was sent again comes by some again."""
    stations: list[Station] = []
    before: Stage | None = None
    for step in steps:
        if step.stage is not before:
            stations.append(Station(NAMES[step.stage]))
        stations[-1].steps.append(step)
        before = step.stage
    for station in stations:
        is_missing = station.name == NAMES[Stage.CLICK] and station.at is None
        station.tone = "neutral" if is_missing else "good"
    if stations:
        stations[-1].tone = tone(state)
    if state in AT_AN_END:
        return stations
    return stations + [Station(NAMES[stage]) for stage in _to_come([step.stage for step in steps])]


def _to_come(stages: Sequence[Stage]) -> Sequence[Stage]:
    """Return the stations after the last one that was reached since the order was recorded last."""
    recorded = len(stages) - 1 - stages[::-1].index(Stage.ORDER) if Stage.ORDER in stages else 0
    reached = [WAY.index(stage) for stage in stages[recorded:] if stage in WAY]
    return WAY[max(reached, default=0) + 1 :]
