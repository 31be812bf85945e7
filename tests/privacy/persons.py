"""A person whose data lie everywhere, and a search of every place for what names them."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Column, ColumnElement, String, cast, func, insert, select, update

from app.alarms.alarm import Alarm, Kind
from app.alarms.store import raise_alarm
from app.batches.store import BATCH, BATCH_LINE, LEFT_OUT
from app.clicks.click import ClickId
from app.clicks.spool import Spool
from app.clicks.store import NewClick, Note, add_new, append, note_to_json
from app.conversions.order import Item, Order
from app.conversions.record import record
from app.conversions.store import CONVERSION, REVISION
from app.conversions.terms import file_some
from app.database import Database
from app.delivery.calls_store import CALL
from app.delivery.store import ATTEMPT
from app.ledger.export_routes import request_export
from app.ledger.revise import attribute
from app.service import Service
from app.submissions.store import SUBMISSION, SUBMISSION_ERROR
from app.tables import METADATA
from tests.support import NOW, order, work

CUSTOMER, FIRST_CLICK, WAITING_CLICK, SPOOLED_CLICK = (
    "cus-4711-Ada",
    "clk-ada-first.A",
    "clk-ada-second.B",
    "clk-ada-third.C",
)
SECRETS = ("ada's note", "Ada-Text-1", "10115-ada")
BY_CLICK = (FIRST_CLICK, WAITING_CLICK, SPOOLED_CLICK)
EVERYTHING = (CUSTOMER, *BY_CLICK, *SECRETS)
OTHER_CUSTOMER, OTHER_CLICK = "cus-4711-Adam", "clk-ada-first.AB"
"""Those of somebody else; the ids of the one are parts of the other's."""


def of_person(order_id: str, **changes: object) -> Order:
    """Return an order of the person's, with personal fields of every kind."""
    extra = {"Note": SECRETS[0], "CustomerPostCode": SECRETS[2], "OrderShipping": "4.90", "CustomerCountry": "DE"}
    items = (
        Item("SKU-0", "Tools", 1, 1000, {"ItemText_1": SECRETS[1], "ItemBrand": "Acme"}),
        Item("SKU-1", "", 2, 500),
    )
    facts: dict[str, Any] = {"customer_id": CUSTOMER, "click_id": FIRST_CLICK, "extra": extra} | changes
    return replace(order(order_id, **facts), items=items)


def live(service: Service) -> None:
    """Let the person land, buy, be delivered, and be spoken of by impact.com; and somebody else beside them."""
    database = service.database
    other: dict[str, Any] = {"customer_id": OTHER_CUSTOMER, "click_id": OTHER_CLICK}
    with database.transaction() as session:
        add_new(session, [NewClick(one, NOW) for one in (FIRST_CLICK, OTHER_CLICK)])
    record(database, [of_person("sent"), order("others", **other)], NOW)
    record(database, [of_person("changed", click_id=WAITING_CLICK)], NOW)
    attribute(database, service.settings, ("default", "changed"), {"click_id": FIRST_CLICK}, NOW)
    request_export(database)
    work(service)
    with database.group() as cursor:
        append(cursor, database.dialect, [NewClick(one, NOW) for one in (WAITING_CLICK, OTHER_CLICK)])
    waiting = [
        of_person("waits", click_id=WAITING_CLICK),
        of_person("waits with code", promo_code="ADA10"),
        order("others wait", **other),
        order("third", customer_id="cus-1", click_id=SPOOLED_CLICK),
    ]
    record(database, waiting, NOW)
    while file_some(database, NOW):
        pass
    record(database, [of_person("not filed", promo_code="ADA10")], NOW)
    _spool(service)
    _speak(database)


def _spool(service: Service) -> None:
    spool = Spool(service.settings.spool_path, service.settings.spool_max_bytes)
    clicks = [NewClick(one, NOW, "https://shop.example/ada") for one in (SPOOLED_CLICK, OTHER_CLICK)]
    notes = [*(Note(one) for one in clicks), Note(forget=frozenset({ClickId(SPOOLED_CLICK), ClickId(OTHER_CLICK)}))]
    assert all(spool.append([(note_to_json(note), False) for note in notes]))
    spool.close()


def _speak(database: Database) -> None:
    """Let every sentence that comes from elsewhere name the person."""
    said = f"ClickId '{FIRST_CLICK}' of {CUSTOMER} is not known"
    with database.transaction() as session:
        connection = session.connection()
        batch = connection.execute(select(BATCH.c.id)).scalar_one()
        sent = connection.execute(select(BATCH_LINE.c.revision_id).order_by(BATCH_LINE.c.revision_id)).scalars().first()
        connection.execute(update(ATTEMPT).values(detail=said))
        row = {"batch": batch, "type": "NEW", "status": "ERROR", "error_reason": said, "source": "file"}
        told = insert(SUBMISSION).values(row | {"recorded_at": NOW}).returning(SUBMISSION.c.id)
        error = {
            "submission_id": connection.execute(told).scalar_one(),
            "revision_id": sent,
            "reason": said,
            "rejects": False,
        }
        connection.execute(insert(SUBMISSION_ERROR).values(error))
        call = {"batch": batch, "revision_id": sent, "type": "new", "state": "queued", "tries": 1, "was_unknown": False}
        connection.execute(insert(CALL).values(call | {"started_at": NOW, "detail": said}))
        mine = select(func.max(REVISION.c.id)).join(CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id)
        waits = connection.execute(mine.where(CONVERSION.c.order_id == "waits with code")).scalar_one()
        left_out = {"revision_id": waits, "export_id": 1, "state": "held", "reason": "cannot_be_rendered"}
        connection.execute(insert(LEFT_OUT).values(left_out | {"detail": said}))
        raise_alarm(session, Alarm(Kind.EXPORT_FAILED, "x", said), NOW, owed=False)


def pulled(service: Service) -> None:
    """Let so much time pass that impact.com has fetched every file."""
    now = service.clock() + timedelta(days=4)
    service.clock = lambda: now


def hits(service: Service, folder: Path, needles: tuple[str, ...] = EVERYTHING) -> dict[str, list[str]]:
    """Return where each text is found: in every file below a folder, and in every column of every table."""
    found = {one: [*_in_files(folder, one), *_in_tables(service.database, one)] for one in needles}
    return {one: places for one, places in found.items() if places}


def _spellings(text: str) -> Mapping[str, bytes]:
    plain = text.encode()
    return {
        "utf-8": plain,
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "percent": quote(text, safe="").encode(),
        "json": text.replace("'", "\\u0027").encode(),
        "base64": base64.b64encode(plain).rstrip(b"=")[:-1],
        "hex": plain.hex().encode(),
    }


def _in_files(folder: Path, text: str) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "postgres" not in path.parts:
            content = path.read_bytes()
            for name, spelling in _spellings(text).items():
                rest = content.replace(OTHER_CUSTOMER.encode(), b"").replace(OTHER_CLICK.encode(), b"")
                if spelling in rest:
                    yield f"{path.name} ({name})"


def _in_tables(database: Database, text: str) -> Iterator[str]:
    with database.snapshot() as session:
        for table in METADATA.sorted_tables:
            for row in session.connection().execute(select(*map(_as_text, table.columns))):
                for column, value in zip(table.columns, row, strict=True):
                    told = value.decode() if isinstance(value, bytes) else str(value)
                    if text in told.replace(OTHER_CUSTOMER, "").replace(OTHER_CLICK, ""):
                        yield f"{table.name}.{column.name}"


def _as_text(column: Column[Any]) -> ColumnElement[Any]:
    return column if column.type.python_type is bytes else cast(column, String)
