"""Where in a table a moment lies: ids are given in the order of recording, so that the time needs no index."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Table, bindparam, func, select
from sqlmodel import Session

SLACK: Final = timedelta(minutes=1)
"""By so much the clocks of replicas, and the time from an id to its record, may differ at most."""


def first_since(session: Session, table: Table, moment: datetime) -> int:
    """Return an id before which nothing was recorded at `moment` or later, and after which little was before.

    It is found by halving: so many look-ups by the primary key as its number has bits.
    """
    connection, key = session.connection(), table.c.id
    low, high = (connection.execute(select(end(key))).scalar_one() for end in (func.min, func.max))
    if low is None:
        return 0
    high += 1
    from_here_on = select(key, table.c.recorded_at).where(key >= bindparam("middle")).order_by(key).limit(1)
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(from_here_on, {"middle": middle}).one()
        if row.recorded_at >= moment - SLACK:
            high = middle
        else:
            low = row.id + 1
    return int(low)
