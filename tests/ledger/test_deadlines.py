"""What comes to its end soon is told before it is too late: in an export's answer, in the metrics and by the doctor."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from app.alarms.watch import Watch
from app.batches.store import BATCH, CORRECTION_LINE
from app.conversions.corrections_store import CORRECTION
from app.conversions.order import Order
from app.conversions.record import record
from app.conversions.store import CONVERSION
from app.doctor.examine import examine
from app.doctor.finding import Status
from app.event_type import EventType
from app.ledger.deadlines import KINDS, deadlines
from app.ledger.export_routes import request_export
from app.service import Service
from tests.conftest import Clock
from tests.corrections import correct
from tests.support import EXPORT_KEY, NOW, bearer, order, work

LATE = timedelta(days=80, seconds=1)
"""The age of an order that is too old in less than seven days, of 87."""


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


def seen(service: Service) -> dict[str, Any]:
    """Return what ends soon, of what there is anything."""
    with service.database.snapshot() as session:
        ends = deadlines(session, service.settings, service.clock())
    return {name: value for name, value in ends.model_dump().items() if value and name != "within_days"}


def aged(service: Service, order_id: str, age: timedelta, **changes: Any) -> Order:
    """Return an order that is so old by the service's clock."""
    return order(order_id, event_date=service.clock() - age, **changes)


def export(service: Service) -> None:
    """Let everything leave that can."""
    request_export(service.database)
    work(service)


def test_nothing_ends_of_what_is_new_or_has_arrived(service: Service) -> None:
    """Nor of an old order that was delivered."""
    record(service.database, [aged(service, "A", LATE), aged(service, "B", timedelta(days=79))], service.clock())
    export(service)
    record(service.database, [aged(service, "C", timedelta(days=79))], service.clock())
    assert seen(service) == {}


def test_orders_that_will_be_too_old(service: Service) -> None:
    """On their way, or waiting for a person, before and after an export has looked at them; with a media id much later.

    Those that are too old already are no warning any more.
    """
    old, media = aged(service, "A", LATE), aged(service, "M", LATE, media_id="2", click_id=None)
    held = [aged(service, "H", LATE, click_id=None), aged(service, "I", LATE + timedelta(hours=1), click_id=None)]
    gone = aged(service, "G", timedelta(days=88), click_id=None)
    record(service.database, [old, media, *held, gone], service.clock())
    ends = {
        "orders_expiring": 1,
        "first_order_expires_at": old.event_date + timedelta(days=87),
        "held_orders_expiring": 2,
        "first_held_order_expires_at": held[1].event_date + timedelta(days=87),
    }
    assert seen(service) == ends
    export(service)
    assert seen(service) == {name: value for name, value in ends.items() if "held" in name}


def test_a_long_order_with_a_media_id_ends_later(service: Service) -> None:
    """It is too old after 397 days."""
    record(service.database, [aged(service, "M", timedelta(days=391), media_id="2", click_id=None)], service.clock())
    assert seen(service)["orders_expiring"] == 1


def test_what_is_held_for_the_settings_is_counted_once(service: Service) -> None:
    """It is on its way: an export looks at it again."""
    service.settings = service.settings.model_copy(update={"max_rows": 1})
    record(service.database, [aged(service, "A", LATE)], service.clock())
    export(service)
    assert {name for name in seen(service) if name in KINDS} == {"orders_expiring"}


def test_corrections_whose_actions_lock(service: Service, clock: Clock) -> None:
    """Those that have not left, by their event type's rule; nothing is said where there is none."""
    locking = EventType.model_validate({"campaign_id": 1000, "action_tracker_id": 4321, "locks_after": "27 days"})
    record(service.database, [aged(service, "A", timedelta(days=20, hours=1)), aged(service, "B", LATE)], clock())
    export(service)
    correct(service.database, "A")
    assert seen(service) == {}
    service.settings = service.settings.model_copy(update={"event_types": {"default": locking}})
    found = seen(service)
    assert found["corrections_locking"] == 1
    assert found["first_correction_locks_at"] == clock() - timedelta(days=20, hours=1) + timedelta(days=27)
    export(service)
    assert seen(service) == {}


@pytest.mark.parametrize(("left", "told"), [(899, 0), (900, 1), (1000, 1)])
def test_orders_with_nearly_too_many_corrections(service: Service, left: int, told: int) -> None:
    """From 900 on that have left; impact.com takes 1,000."""
    record(service.database, [aged(service, "A", timedelta(days=1))], service.clock())
    export(service)
    with service.database.transaction() as session:
        connection = session.connection()
        conversion_id = connection.execute(select(CONVERSION.c.id)).scalar_one()
        common = {"conversion_id": conversion_id, "kind": "refund", "reason": "OTHER", "reverses": False}
        common |= {"recorded_at": NOW, "request": "", "answer": ""}
        numbers = range(1, left + 2)  # one has not left
        connection.execute(insert(CORRECTION), [common | {"id": number, "number": number} for number in numbers])
        batch = connection.execute(select(BATCH.c.id)).scalar_one()
        lines = [{"correction_id": number, "batch": batch, "first_line": 2} for number in numbers[:-1]]
        connection.execute(insert(CORRECTION_LINE), lines)
    assert seen(service).get("actions_near_limit", 0) == told


def test_who_asks_is_told(client: TestClient, service: Service) -> None:
    """An export's answer, the metrics and the doctor say the same."""
    record(service.database, [aged(service, "H", LATE, click_id=None)], service.clock())
    asked = client.post("/exports", headers=bearer(EXPORT_KEY)).json()
    told = client.get(f"/exports/{asked['id']}", headers=bearer(EXPORT_KEY)).json()["deadlines"]
    assert told == asked["deadlines"]
    assert (told["within_days"], told["held_orders_expiring"]) == (7, 1)
    Watch(service.database, service.settings, "host", list, lambda: None).look(service.clock())
    assert 'capture_deadlines{kind="held_orders_expiring"} 1.0' in client.get("/metrics").text
    [finding] = [one for one in examine(service) if one.name == "deadlines"]
    assert finding.status is Status.WARNING
    assert finding.detail.startswith("1 held orders will be too old for impact.com, the first at ")
