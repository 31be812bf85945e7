"""Filing orders by what they can be found by, a little after they were recorded; and finding and forgetting them so.

Who files holds the one row that says how far it has come, so that any number of workers may, and nothing is filed anew
while somebody has it forgotten.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from app.conversions import terms_store as store
from app.conversions.moments_store import first_since
from app.conversions.store import REVISION
from app.conversions.terms_store import Filed, Term, number_of
from app.database import Database, only_by_keys, retried

CHUNK: Final = 200
MOST_TERMS: Final = 2_000
"""So many revisions, and terms of them, are filed in one transaction: some milliseconds for whoever records orders."""
SETTLED: Final = timedelta(minutes=2)
"""After so long, a server has committed all that it ever will of ids below one that was seen: it ends transactions that
stand still long before.
"""
WINDOW: Final = 1_000
PERSONAL: Final = (Term.CLICK, Term.CUSTOMER)


def file_some(database: Database, now: datetime) -> bool:
    """File some revisions, the new ones first, then once more those that have settled, then the oldest by age.

    Say whether there was anything to do.
    """
    with database.snapshot() as session:
        only_by_keys(session)
        filed = store.find(session)
        if filed is not None and _next(session, filed, now) is None:
            return False
    return _file(database, now)


@retried
def _file(database: Database, now: datetime) -> bool:
    with database.transaction() as session:
        only_by_keys(session)
        filed = store.hold(session)
        if filed is None:
            start = first_since(session, REVISION, now - SETTLED)
            store.begin(session, Filed(begins=start, seen=max(0, start - 1), done=max(0, start - 1)))
            return True
        work = _next(session, filed, now)
        if work is None:
            return False
        to, revision_ids = work
        store.add(session, _terms_of(session, revision_ids, tuple(Term)))
        store.advance(session, to)
        return True


def _next(session: Session, filed: Filed, now: datetime) -> tuple[Filed, list[int]] | None:
    """Return what is to be filed next, and how far filing has come then; None if all is."""
    is_sqlite = session.connection().dialect.name == "sqlite"
    if new := _whole(session, [row.id for row in store.revisions(session, filed.seen + 1, store.LAST, CHUNK)]):
        # One writer at a time commits ids in their order, so that nothing comes later.
        return filed._replace(seen=new[-1], done=new[-1] if is_sqlite else filed.done), new
    if filed.done < filed.seen:
        rows = store.revisions(session, filed.done + 1, filed.seen, CHUNK)
        young = [row.id for row in rows if row.recorded_at > now - SETTLED]
        if settled := _whole(session, [row.id for row in rows if not young or row.id < young[0]]):
            return filed._replace(done=settled[-1]), settled
    if filed.begins:
        rows = store.revisions(session, 0, filed.begins - 1, CHUNK, downwards=True)
        old = _whole(session, [row.id for row in rows], downwards=True)
        return filed._replace(begins=old[-1] if old else 0), old
    return None


def _whole(session: Session, revision_ids: list[int], *, downwards: bool = False) -> list[int]:
    """Return the first of the revisions, at least one, that have not too many items together."""
    items = store.skus(session, revision_ids, MOST_TERMS, downwards=downwards) if revision_ids else ()
    if len(items) < MOST_TERMS:
        return revision_ids
    return revision_ids[: max(1, revision_ids.index(items[-1].revision_id))]


def _terms_of(session: Session, revision_ids: Sequence[int], kinds: Collection[Term]) -> dict[int, set[int]]:
    """Return the numbers of the terms of revisions."""
    if not revision_ids:
        return {}
    found: dict[int, set[int]] = {revision_id: set() for revision_id in revision_ids}
    for row in store.people(session, revision_ids):
        for kind, text in ((Term.CLICK, row.click_id), (Term.CUSTOMER, row.customer_id)):
            if kind in kinds and text is not None:
                found[row.id].add(number_of(kind, text))
    for row in store.skus(session, revision_ids) if Term.SKU in kinds else ():
        found[row.revision_id].add(number_of(Term.SKU, row.sku))
    return found


def forget_terms(session: Session, revision_ids: Sequence[int], kinds: Collection[Term] = PERSONAL) -> None:
    """Let revisions be found by these kinds of terms no more. Call it while they still have them, and then remove them.

    Until the transaction ends, nobody files, so that nothing is filed of what is being removed.
    """
    only_by_keys(session)
    store.hold(session)
    for start in range(0, len(revision_ids), CHUNK):
        store.remove(session, _terms_of(session, revision_ids[start : start + CHUNK], kinds))


def find_by_term(session: Session, kind: Term, text: str) -> set[int]:
    """Return every order that has a term, or had it in an earlier revision, whether it is filed by it yet or not.

    What is not filed is looked through, which takes its time for a history that was recorded before there were terms.
    """
    only_by_keys(session)
    filed, found = store.filed(session), set[int]()
    for some in _filed_under(session, number_of(kind, text)):
        found |= store.orders_with(session, kind, text, of=some)
    last = store.newest(session)
    for first, end in ((filed.done + 1, last), (0, min(filed.begins - 1, last))):
        for start in range(first, end + 1, WINDOW):
            found |= store.orders_with(session, kind, text, within=(start, min(start + WINDOW - 1, end)))
    return found


def _filed_under(session: Session, number: int) -> Iterator[list[int]]:
    """Yield the revisions that are filed under a number, some at a time."""
    last = store.LAST
    while some := store.with_term(session, number, (0, last), WINDOW):
        yield some
        last = some[-1] - 1
