"""An order's life is told as a line, with what is still to come."""

from app.dashboard.life import line_of
from app.ledger.explanation import Stage, Step
from app.ledger.state import OrderState
from tests.support import NOW

ANSWER = "impact.com's answer"


def told(*stages: Stage, state: OrderState = OrderState.PENDING) -> list[tuple[str, bool]]:
    """Return the names of the stations, and whether they were reached."""
    stations = line_of([Step(at=NOW, stage=stage, text="") for stage in stages], state)
    return [(one.name, one.is_reached) for one in stations]


def test_what_is_to_come_stands_at_the_end() -> None:
    """So that one sees at a glance how far an order has got."""
    assert told(Stage.CLICK, Stage.ORDER) == [
        *(("Landing", True), ("Order", True), ("Batch", False), ("Delivery", False), (ANSWER, False))
    ]
    assert told(Stage.CLICK, Stage.ORDER, Stage.BATCH, Stage.DELIVERY)[-2:] == [("Delivery", True), (ANSWER, False)]


def test_an_order_that_was_refused_and_is_sent_again_has_all_stations_before_it_once_more() -> None:
    """What happened to the revision before does not count for the one that waits."""
    line = told(Stage.CLICK, Stage.ORDER, Stage.BATCH, Stage.DELIVERY, Stage.SUBMISSION, Stage.ORDER)
    assert line[-4:] == [("Order", True), ("Batch", False), ("Delivery", False), (ANSWER, False)]


def test_nothing_is_to_come_of_an_order_at_its_end() -> None:
    """One that was reversed, or too old, never leaves."""
    for state in (OrderState.CANCELLED, OrderState.EXPIRED):
        assert told(Stage.CLICK, Stage.ORDER, state=state) == [("Landing", True), ("Order", True)]


def test_attempts_stand_at_one_station() -> None:
    """The last time is that of the station."""
    stations = line_of([Step(at=at, stage=Stage.DELIVERY, text="") for at in (NOW, None)], OrderState.DELIVERED)
    assert (len(stations[0].steps), stations[0].at) == (2, NOW)
