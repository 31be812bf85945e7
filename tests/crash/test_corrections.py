"""The worker is killed at every step of a file of corrections: each of them leaves, none leaves in two files."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from app.batches.store import BATCH_LINE
from app.conversions.store import CONVERSION, REVISION
from app.database import Database
from tests.corrections import Left, correct
from tests.crash.shop import STILL_SET_UP, NewShop, Shop, request_export
from tests.crash.test_kill import DATABASES, KILLED, recover
from tests.crash.victim import AFTER
from tests.soak import SOAK, chance
from tests.support import parse_rfc4180

STEPS = ("batch.checked", "batch.taken", "batch.added", "batch.committing", "batch.committed")
DELIVERY = ("delivery.claimed", "delivery.started", "file.renamed", *AFTER)
CASES = [(step, kind) for step in (*STEPS, *DELIVERY) for kind in (DATABASES if SOAK else ("",))]


def sell_and_correct(shop: Shop) -> Counter[str]:
    """Let the shop's orders arrive, correct those that did, and ask for an export; return them with their amounts."""
    recover(shop)
    database, told = Database(shop.url), Counter[str]()
    for number, (event_type, order_id) in enumerate(_arrived(database)):
        correct(database, order_id, [Left(f"SKU-{line}", 100 + number) for line in range(3)], event_type=event_type)
        told.update({f"{order_id} SKU-{line} {100 + number}": 1 for line in range(3)})
    database.close()
    request_export(shop)
    return told


def _arrived(database: Database) -> list[tuple[str, str]]:
    """Return event type and id of the orders that are in a batch."""
    found = (
        select(CONVERSION.c.event_type, CONVERSION.c.order_id)
        .join(REVISION, REVISION.c.conversion_id == CONVERSION.c.id)
        .join(BATCH_LINE, BATCH_LINE.c.revision_id == REVISION.c.id)
        .order_by(CONVERSION.c.id)
    )
    with database.snapshot() as session:
        return [(row.event_type, row.order_id) for row in session.connection().execute(found)]


def left(outbox: Path) -> Counter[str]:
    """Return what the files say, item by item."""
    told = Counter[str]()
    for path in outbox.glob("*_ModificationData_*.csv"):
        order = ""
        for row in list(parse_rfc4180(path.read_bytes()))[1:]:
            order = row[1] or order
            told[f"{order} {row[2]} {row[3].replace('.', '').lstrip('0')}"] += 1
    return told


@pytest.mark.parametrize(("step", "kind"), CASES)
def test_a_worker_killed_at_any_step_loses_and_doubles_no_correction(
    request: pytest.FixtureRequest, new_shop: NewShop, step: str, kind: str
) -> None:
    """Killed at a step of the first file and at that of another, and started again each time."""
    shop = new_shop(kind or chance(request).choice(DATABASES))
    told = sell_and_correct(shop)
    assert len(told) > 2 * shop.max_rows  # so that there are several files
    for nth in (1, 2):
        assert shop.run("SIGKILL", step, str(nth)) == KILLED
        shop.end_leases()
    recover(shop)
    assert left(shop.outbox) == told
    request_export(shop)
    recover(shop)
    assert left(shop.outbox) == told
    database = Database(shop.url)
    with database.snapshot() as session:
        [(corrections, lines, waiting)] = session.connection().exec_driver_sql(
            "SELECT (SELECT count(*) FROM correction), (SELECT count(*) FROM correction_line),"
            " (SELECT count(*) FROM unsent_correction)"
        )
    database.close()
    assert (corrections, waiting) == (lines, 0)
    assert {path.name.split("_")[2] for path in shop.outbox.glob("*_Mod*")} == set(STILL_SET_UP)
