"""Sending again what impact.com has not taken, once it is repaired: a new file of these orders or corrections alone.

An order is repaired if it was changed since, if settings have changed so that its lines are others now, or if the
caller names it: then it was repaired at impact.com. What is sent again as it is gets a revision, or is a correction, of
its own, so that each is in one batch for ever. It waits like any other, and whoever comes first takes it: this file or
an export.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field
from sqlalchemy import Row
from sqlmodel import Session

from app.batches import amend, build
from app.batches import store as batches
from app.batches.batch import BatchKind
from app.batches.store import Claim
from app.config import Settings
from app.conversions.order_body import Body
from app.database import Database, only_by_keys, retried
from app.delivery.hold import Hold
from app.errors import Conflict, Fault, InvalidInput, pointer_to
from app.event_type import HTTP_API
from app.ledger import corrections_store, store
from app.ledger.exports import BatchView, find_batch, find_export
from app.ledger.mending import Chosen, Left
from app.ledger.reissue import choose_corrections
from app.ledger.repair_orders import choose_orders
from app.submissions.reason_view import ReasonView
from app.submissions.store import refused_in, results
from app.submissions.submission import Verdict

CHUNK: Final = 500
"""So many orders are looked at in one transaction, so that nobody waits long for their locks."""


class RepairBody(Body):
    """Orders that are sent again as they are, since they were repaired at impact.com's side."""

    order_ids: list[str] = Field(default=[])


class LeftAloneView(BaseModel):
    """An order that is not sent again; `detail` says why and what to do, `reasons` what impact.com has against it."""

    order_id: str
    detail: str
    reasons: list[ReasonView]


class RepairView(BaseModel):
    """What was sent again of a batch: as so many `orders`, in these new batches; and what was left as it is."""

    batch: str
    batches: list[BatchView]
    orders: int
    left_out: list[LeftAloneView]


@dataclass(frozen=True, slots=True)
class _Refused:
    """A batch, and what of it impact.com has not taken: revisions or corrections, with their orders' ids."""

    batch: Row[Any]
    verdicts: Mapping[int, Verdict]
    order_ids: Mapping[int, str]

    @property
    def is_of_orders(self) -> bool:
        """Whether it has orders; else corrections."""
        return bool(self.batch.kind == BatchKind.CONVERSIONS)


def repair(
    database: Database,
    settings: Settings,
    hold: Hold,
    batch_id: str,
    named: Collection[str],
    clock: Callable[[], datetime],
    *,
    dry_run: bool = False,
) -> RepairView:
    """Build a new file of what was refused of a batch and is repaired. The same again builds nothing.

    With `dry_run` nothing is changed. Raises NotFound, InvalidInput for names that are not among the refused, and
    Conflict while impact.com has not said what it makes of the batch, or everything is held.
    """
    if hold.applies(database):
        raise Conflict(hold.reason or "", code="EVERYTHING_HELD")
    refused = _look(database, batch_id, named)
    chosen, ids = Chosen(), list(refused.verdicts)
    for start in range(0, len(ids), CHUNK):
        some = {one: refused.verdicts[one] for one in ids[start : start + CHUNK]}
        chosen.add(_choose(database, settings, refused.batch, some, named, clock(), dry_run=dry_run))
    if dry_run or not chosen.goes:
        return _view(refused, chosen, [], len(chosen.goes))
    claimed = _open(database, clock())
    _build(database, settings, refused, chosen, claimed, clock)
    with database.snapshot() as session:
        made = find_export(session, str(claimed.export_id)).batches
        chosen.left += _overtaken(session, refused, chosen, {one.filename for one in made})
    return _view(refused, chosen, made, sum(one.orders for one in made))


def _look(database: Database, batch_id: str, named: Collection[str]) -> _Refused:
    """Return what impact.com has not taken of a batch."""
    with database.snapshot() as session:
        only_by_keys(session)
        batch = find_batch(session, batch_id)
        verdicts = refused_in(session, batch.id)
        if not verdicts and not results(session, [batch.id]):
            raise Conflict(
                "impact.com has not said yet what it makes of this batch, so that nothing of it can be repaired."
                " `conversion-capture results FILE` tells the service, if you have a report.",
                code="RESULT_NOT_KNOWN",
            )
        orders = store.orders_of if batch.kind == BatchKind.CONVERSIONS else corrections_store.orders_of
        order_ids: dict[int, str] = {}
        for start in range(0, len(verdicts), CHUNK):
            some = list(verdicts)[start : start + CHUNK]
            order_ids |= {one: order_id for one, (_, order_id) in orders(session, some).items()}
    known = set(order_ids.values())
    faults = [
        Fault(
            "NOT_REFUSED",
            f"impact.com has not refused {order_id} in this batch; GET /orders/{{order_id}} tells what became of it.",
            pointer_to("order_ids", place),
        )
        for place, order_id in enumerate(named)
        if order_id not in known
    ]
    if faults:
        raise InvalidInput(faults)
    return _Refused(batch, verdicts, order_ids)


@retried
def _choose(
    database: Database,
    settings: Settings,
    batch: Row[Any],
    refused: Mapping[int, Verdict],
    named: Collection[str],
    now: datetime,
    *,
    dry_run: bool,
) -> Chosen:
    choose = choose_orders if batch.kind == BatchKind.CONVERSIONS else choose_corrections
    with database.transaction() as session:
        only_by_keys(session)
        chosen = choose(session, settings, batch, refused, named, now)
        if dry_run:
            session.rollback()
    return chosen


def _open(database: Database, now: datetime) -> Claim:
    with database.transaction() as session:
        return batches.add_export(session, now)


def _build(
    database: Database,
    settings: Settings,
    refused: _Refused,
    chosen: Chosen,
    claimed: Claim,
    clock: Callable[[], datetime],
) -> None:
    """Make files of what was chosen and still waits, each committed as an export's are; note what is held after all."""
    key, ids, channel = refused.batch.event_type, sorted(chosen.goes), refused.batch.channel
    if channel == HTTP_API and not settings.has_api:  # its account is gone: what goes again goes by a file
        channel = None
    if refused.is_of_orders:
        for plan in build.plans_of(
            database,
            settings,
            key,
            ids,
            channel,
            clock,
            commit=lambda plan: build.commit(database, settings, claimed, plan, clock()),
        ):
            chosen.left += [Left(chosen.goes.pop(one.revision_id), one.detail) for one in plan.omissions]
        return
    for amended in amend.plans_of(
        database,
        settings,
        ids,
        channel,
        clock,
        commit=lambda plan: amend.commit(database, settings, claimed, plan, clock()),
    ):
        chosen.left += [Left(chosen.goes.pop(one.correction_id), one.detail) for one in amended.holds]


def _overtaken(session: Session, refused: _Refused, chosen: Chosen, made: Collection[str]) -> list[Left]:
    """Return what an export has taken before this could, or what has to wait."""
    found: list[Left] = []
    ids = sorted(chosen.goes)
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        places = store.whereabouts(session, some) if refused.is_of_orders else corrections_store.placed(session, some)
        for one in some:
            filename = places[one].filename if one in places else None
            if filename is None:
                found.append(Left(chosen.goes[one], "It waits, and goes with the next export that it can go with."))
            elif filename not in made:
                found.append(Left(chosen.goes[one], f"An export was quicker and has sent it with {filename}."))
    return found


def _view(refused: _Refused, chosen: Chosen, made: list[BatchView], orders: int) -> RepairView:
    return RepairView(
        batch=refused.batch.batch_id,
        batches=made,
        orders=orders,
        left_out=[
            LeftAloneView(
                order_id=one.order_id,
                detail=one.why,
                reasons=[ReasonView.of(code) for code in dict.fromkeys(one.codes)],
            )
            for one in chosen.left
        ],
    )
