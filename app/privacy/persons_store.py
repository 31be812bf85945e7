"""Where data of people stand in the tables, and every statement that removes them there."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from pydantic import SecretStr
from sqlalchemy import Column, Row, Table, bindparam, exists, func, select, update
from sqlmodel import Session

from app.alarms.store import ALARM
from app.batches.store import BATCH, BATCH_CONTENT, BATCH_LINE, CORRECTION_LINE, EXPORT, LEFT_OUT, UNDELIVERED
from app.clicks.store import CLICK, NEW_CLICK
from app.conversions.corrections_store import CORRECTION, UNSENT_CORRECTION
from app.conversions.fingerprint import keyed
from app.conversions.order import NO_ATTRIBUTION
from app.conversions.store import CONVERSION, ITEM, REVISION, UNSENT
from app.conversions.terms import forget_terms
from app.conversions.terms_store import ORDER_TERM
from app.delivery.calls_store import CALL
from app.delivery.store import ATTEMPT, TROUBLE
from app.privacy.personal import personal_values, without_personal, without_values
from app.submissions.store import RESULT, SUBMISSION, SUBMISSION_ERROR

CHUNK: Final = 500
TOUCHED: Final[tuple[Table, ...]] = (
    *(CLICK, NEW_CLICK, REVISION, ITEM, ORDER_TERM, UNSENT, LEFT_OUT, ATTEMPT, CALL, SUBMISSION, SUBMISSION_ERROR),
    *(UNSENT_CORRECTION, ALARM, TROUBLE, EXPORT),
)


class Cleared(NamedTuple):
    """What was removed of orders: how many of them had something, and how many of these wait for a credit now."""

    orders: int = 0
    held: int = 0
    sentences: int = 0


# Finding --------------------------------------------------------------------------------------------------------


def revisions_of(session: Session, conversion_ids: Collection[int]) -> list[Row[Any]]:
    """Return every revision of orders, by ascending id."""
    found: list[Row[Any]] = []
    for some in _chunks(sorted(conversion_ids)):
        mine = select(REVISION).where(REVISION.c.conversion_id.in_(some))
        found += session.connection().execute(mine.order_by(REVISION.c.id)).all()
    return found


def files_of(session: Session, revision_ids: Collection[int]) -> dict[int, str]:
    """Return the batches that revisions are in, and the names of their files."""
    batches = sorted(set(_ids(session, BATCH_LINE.c.batch, BATCH_LINE.c.revision_id, sorted(revision_ids))))
    found: dict[int, str] = {}
    for some in _chunks(batches):  # each table by its own key: a planner that may join them may read one whole
        named = select(BATCH.c.id, BATCH.c.filename).where(BATCH.c.id.in_(some))
        found |= {row.id: row.filename for row in session.connection().execute(named)}
    return found


def order_ids_in(session: Session, filename: str, conversion_ids: Collection[int]) -> set[str]:
    """Return the order ids of those orders that a file's batch holds."""
    found: set[str] = set()
    for some in _chunks(sorted(conversion_ids)):
        placed = (
            select(CONVERSION.c.order_id)
            .join(REVISION, REVISION.c.conversion_id == CONVERSION.c.id)
            .join(BATCH_LINE, BATCH_LINE.c.revision_id == REVISION.c.id)
            .join(BATCH, BATCH.c.id == BATCH_LINE.c.batch)
        )
        mine = placed.where(CONVERSION.c.id.in_(some), BATCH.c.filename == filename)
        found.update(session.connection().execute(mine).scalars())
    return found


def under_way(session: Session, conversion_ids: Collection[int]) -> set[str]:
    """Return the ids of the batches under way that hold orders."""
    found: set[str] = set()
    for some in _chunks(sorted(conversion_ids)):
        placed = (
            select(BATCH.c.batch_id)
            .join(UNDELIVERED, UNDELIVERED.c.batch == BATCH.c.id)
            .join(BATCH_LINE, BATCH_LINE.c.batch == BATCH.c.id)
            .join(REVISION, REVISION.c.id == BATCH_LINE.c.revision_id)
        )
        found.update(session.connection().execute(placed.where(REVISION.c.conversion_id.in_(some))).scalars())
    return found


def find_file(session: Session, filename: str) -> Row[Any] | None:
    """Return the batch of a file, and whether it is under way."""
    under_way = exists().where(UNDELIVERED.c.batch == BATCH.c.id).label("is_under_way")
    named = select(BATCH, under_way).where(BATCH.c.filename == filename)
    return session.connection().execute(named.with_for_update(of=BATCH)).one_or_none()


def look_at_file(session: Session, filename: str) -> Row[Any]:
    """Return the batch of a file, whether it is under way, and whether impact.com has said what it makes of it."""
    under_way = exists().where(UNDELIVERED.c.batch == BATCH.c.id).label("is_under_way")
    decided = exists().where(RESULT.c.batch == BATCH.c.id).label("is_decided")
    return session.connection().execute(select(BATCH, under_way, decided).where(BATCH.c.filename == filename)).one()


def oldest_contents(session: Session, after: int, limit: int) -> Sequence[Row[Any]]:
    """Return the oldest batches after one of which some content is left."""
    connection = session.connection()
    kept = select(BATCH_CONTENT.c.batch).where(BATCH_CONTENT.c.batch > after).order_by(BATCH_CONTENT.c.batch)
    numbers = list(connection.execute(kept.limit(limit)).scalars())
    named = select(BATCH.c.id, BATCH.c.filename, BATCH.c.created_at).where(BATCH.c.id.in_(numbers))
    return connection.execute(named.order_by(BATCH.c.id)).all()


def revisions_after(session: Session, after: int, limit: int) -> list[Row[Any]]:
    """Return the next revisions after one, by ascending id."""
    following = select(REVISION).where(REVISION.c.id > after).order_by(REVISION.c.id).limit(limit)
    return list(session.connection().execute(following))


def arrived_at(session: Session, batch: int) -> Any:
    """Return when a batch last arrived."""
    last = select(ATTEMPT.c.ended_at).where(ATTEMPT.c.batch == batch, ATTEMPT.c.status == "delivered")
    return session.connection().execute(last.order_by(ATTEMPT.c.number.desc()).limit(1)).scalar_one_or_none()


def in_batches(session: Session, conversion_ids: Collection[int], only: Collection[int] | None = None) -> set[int]:
    """Return those orders of which a revision is in a batch that is under way, or in one of those that are named."""
    found: set[int] = set()
    for some in _chunks(sorted(conversion_ids)):
        placed = select(REVISION.c.conversion_id, BATCH_LINE.c.batch).join(
            BATCH_LINE, BATCH_LINE.c.revision_id == REVISION.c.id
        )
        rows = session.connection().execute(placed.where(REVISION.c.conversion_id.in_(some))).all()
        here = set(only or ())
        if only is None and rows:
            batches = {row.batch for row in rows}
            queued = select(UNDELIVERED.c.batch).where(UNDELIVERED.c.batch.in_(batches))
            here = set(session.connection().execute(queued).scalars())
        found |= {row.conversion_id for row in rows if row.batch in here}
    return found


# Removing -------------------------------------------------------------------------------------------------------


def clicks_of(session: Session, click_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return what is recorded of clicks, those too that are not filed yet."""
    found: list[dict[str, Any]] = []
    for some in _chunks(sorted(click_ids)):
        for table in (CLICK, NEW_CLICK):
            rows = session.connection().execute(select(table).where(table.c.click_id.in_(some)))
            found += [dict(row._mapping) for row in rows]  # noqa: SLF001 (SQLAlchemy's name for it)
    return found


def count_waiting(session: Session, revision_ids: Collection[int]) -> int:
    """Return how many revisions wait for the next export."""
    return sum(
        session.connection()
        .execute(select(func.count()).select_from(UNSENT).where(UNSENT.c.revision_id.in_(some)))
        .scalar_one()
        for some in _chunks(sorted(revision_ids))
    )


def clear_orders(session: Session, revisions: Sequence[Row[Any]], key: SecretStr, *, hold: bool) -> Cleared:
    """Remove what is personal of revisions; with `hold`, those that wait and had only their click wait for a credit.

    Their fingerprints are under the key from now on, and impact.com's sentences name them no more.
    """
    items = _items_of(session, [row.id for row in revisions])
    values = {value for row in revisions for value in (row.click_id, row.customer_id) if value}
    values |= {value for row in (*revisions, *items) for value in personal_values(row.extra)}
    rows = [
        {
            "its": row.id,
            "click_id": None,
            "customer_id": None,
            "extra": without_personal(row.extra),
            "fingerprint": keyed(row.fingerprint, key),
        }
        for row in revisions
    ]
    cleared = [
        row
        for row, new in zip(revisions, rows, strict=True)
        if (row.click_id, row.customer_id, row.extra, row.fingerprint) != (None, None, new["extra"], new["fingerprint"])
    ]
    forget_terms(session, [row.id for row in revisions])
    _update(session, REVISION, [REVISION.c.id], rows)
    bare = [(row, without_personal(row.extra)) for row in items]
    changed = [
        {"its": row.revision_id, "position_": row.position, "extra": left} for row, left in bare if left != row.extra
    ]
    _update(session, ITEM, [ITEM.c.revision_id, ITEM.c.position], changed)
    held = _hold(session, revisions) if hold else 0
    orders = {row.conversion_id for row in cleared}
    return Cleared(len(orders), held, _clear_texts(session, revisions, values))


def _items_of(session: Session, revision_ids: Sequence[int]) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    columns = ITEM.c.revision_id, ITEM.c.position, ITEM.c.extra
    for some in _chunks(revision_ids):
        mine = select(*columns).where(ITEM.c.revision_id.in_(some), ITEM.c.extra.is_not(None))
        found += session.connection().execute(mine).all()
    return found


def _update(session: Session, table: Table, key: Sequence[Column[Any]], rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        names = ("its", "position_")
        mine = (column == bindparam(name) for column, name in zip(key, names, strict=False))
        session.connection().execute(update(table).where(*mine), list(rows))


def _hold(session: Session, revisions: Sequence[Row[Any]]) -> int:
    """Let those wait for a credit that had their click alone."""
    uncredited = [
        row.id
        for row in revisions
        if row.click_id is not None and row.promo_code is row.media_id is row.parent_order_id is None
    ]
    held = 0
    for some in _chunks(uncredited):
        waits = update(UNSENT).where(UNSENT.c.revision_id.in_(some), UNSENT.c.hold_reason.is_(None))
        held += session.connection().execute(waits.values(hold_reason=NO_ATTRIBUTION)).rowcount
    return held


# Sentences ------------------------------------------------------------------------------------------------------


def _clear_texts(session: Session, revisions: Sequence[Row[Any]], values: Collection[str]) -> int:
    """Take values out of the sentences about these orders and their files; return how many had one."""
    revision_ids = [row.id for row in revisions]
    conversion_ids = sorted({row.conversion_id for row in revisions})
    batches = sorted({*files_of(session, revision_ids), *_corrected_in(session, conversion_ids)})
    submissions = list(_ids(session, SUBMISSION.c.id, SUBMISSION.c.batch, batches))
    return sum(
        _clear_text(session, column, by, ids, values)
        for column, by, ids in (
            (LEFT_OUT.c.detail, LEFT_OUT.c.revision_id, revision_ids),
            (UNSENT_CORRECTION.c.hold_detail, UNSENT_CORRECTION.c.conversion_id, conversion_ids),
            (CALL.c.detail, CALL.c.batch, batches),
            (ATTEMPT.c.detail, ATTEMPT.c.batch, batches),
            (SUBMISSION.c.error_type, SUBMISSION.c.id, submissions),
            (SUBMISSION.c.error_reason, SUBMISSION.c.id, submissions),
            (SUBMISSION_ERROR.c.error_type, SUBMISSION_ERROR.c.submission_id, submissions),
            (SUBMISSION_ERROR.c.reason, SUBMISSION_ERROR.c.submission_id, submissions),
        )
    )


def clear_short_tables(session: Session, values: Collection[str]) -> int:
    """Do the same in alarms, in what is wrong with channels, and in why exports failed: a few rows, looked through.

    What an alarm is about stays: an export, batch, channel or host, whose number may be somebody's customer id too.
    """
    columns = ALARM.c.detail, TROUBLE.c.detail, EXPORT.c.failure
    return sum(_clear_text(session, column, None, (), values) for column in columns)


def _clear_text(
    session: Session, column: Column[Any], by: Column[Any] | None, ids: Sequence[int], values: Collection[str]
) -> int:
    connection, table = session.connection(), column.table
    keys, changed = list(table.primary_key), 0
    for some in _chunks(ids) if by is not None else [[]]:
        texts = select(*keys, column.label("text_")).where(column.is_not(None))
        for row in connection.execute(texts.where(by.in_(some)) if by is not None else texts).all():
            text = without_values(row.text_, values)
            if text != row.text_:
                mine = [key == value for key, value in zip(keys, row, strict=False)]
                connection.execute(update(table).where(*mine).values({column.name: text}))
                changed += 1
    return changed


def _corrected_in(session: Session, conversion_ids: Sequence[int]) -> set[int]:
    corrections = list(_ids(session, CORRECTION.c.id, CORRECTION.c.conversion_id, conversion_ids))
    return set(_ids(session, CORRECTION_LINE.c.batch, CORRECTION_LINE.c.correction_id, corrections))


def _ids(session: Session, column: Column[Any], by: Column[Any], ids: Sequence[int]) -> Iterator[int]:
    for some in _chunks(ids):
        yield from session.connection().execute(select(column).where(by.in_(some))).scalars()


def _chunks(values: Collection[Any]) -> Iterable[list[Any]]:
    listed = list(values)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))
