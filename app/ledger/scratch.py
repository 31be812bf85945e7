"""What files say of the shop's and of impact.com's side, on disk while a comparison lasts: it may be a million orders.

A temporary SQLite database of its own, which is gone with the process; the service's database is not written to.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

from app.actions.action import ActionFacts
from app.ledger.reconciliation import Sale, Theirs

PAGE: Final = 500
_TABLES: Final = """
CREATE TABLE sale (
    event_type TEXT, order_id TEXT, amount INTEGER NOT NULL, currency TEXT NOT NULL, day TEXT,
    seen INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (event_type, order_id)
) WITHOUT ROWID;
CREATE TABLE action (
    tracker TEXT, order_id TEXT, action_id TEXT, state TEXT, currency TEXT, amount INTEGER, event_at TEXT,
    PRIMARY KEY (tracker, order_id, action_id)
) WITHOUT ROWID;
"""


class Scratch:
    """Sales and actions of files, found by their keys."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Give the disk space back."""
        self._database.close()

    def add_sale(self, sale: Sale) -> bool:
        """Keep a sale; say whether it is the first of its order."""
        row = sale.event_type, sale.order_id, sale.amount, sale.currency, sale.day and sale.day.isoformat()
        new = "INSERT OR IGNORE INTO sale (event_type, order_id, amount, currency, day) VALUES (?, ?, ?, ?, ?)"
        return self._database.execute(new, row).rowcount == 1

    def add_action(self, one: ActionFacts) -> None:
        """Keep an action, in place of one of the same name."""
        at = one.event_at and one.event_at.isoformat()
        row = one.action_tracker_id, one.order_id, one.action_id, one.state, one.currency, one.amount, at
        self._database.execute("INSERT OR REPLACE INTO action VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def take_sales(self, event_type: str, order_ids: Collection[str]) -> dict[str, Sale]:
        """Return the sales of orders, and note that they were asked for."""
        which = f"event_type = ? AND order_id IN ({_marks(order_ids)})"
        rows = self._database.execute(f"SELECT * FROM sale WHERE {which}", (event_type, *order_ids)).fetchall()  # noqa: S608
        self._database.execute(f"UPDATE sale SET seen = 1 WHERE {which}", (event_type, *order_ids))  # noqa: S608
        return {row[1]: _sale(row) for row in rows}

    def sales_left(self) -> Iterator[list[Sale]]:
        """Yield the sales that nobody has asked for, some at a time."""
        for rows in self._pages("sale", "event_type, order_id", "AND NOT seen"):
            yield [_sale(row) for row in rows]

    def actions_of(self, tracker: str, order_ids: Collection[str]) -> dict[str, list[Theirs]]:
        """Return the actions of orders of an action tracker."""
        which = f"tracker = ? AND order_id IN ({_marks(order_ids)})"
        found: dict[str, list[Theirs]] = {}
        for row in self._database.execute(f"SELECT * FROM action WHERE {which}", (tracker, *order_ids)):  # noqa: S608
            found.setdefault(row[1], []).append(Theirs(row[2], row[3], row[4], row[5]))
        return found

    def actions(self) -> Iterator[list[tuple[str, str, datetime | None, Theirs]]]:
        """Yield all actions, some at a time, each with its action tracker, order id and time."""
        for rows in self._pages("action", "tracker, order_id, action_id"):
            yield [(row[0], row[1], row[6] and datetime.fromisoformat(row[6]), Theirs(*row[2:6])) for row in rows]

    def _pages(self, table: str, key: str, condition: str = "") -> Iterator[list[Any]]:
        places = key.count(",") + 1
        after: Sequence[Any] = [""] * places
        marks = _marks(after)
        while True:
            asked = f"SELECT * FROM {table} WHERE ({key}) > ({marks}) {condition} ORDER BY {key} LIMIT {PAGE}"  # noqa: S608
            rows = self._database.execute(asked, after).fetchall()
            if not rows:
                return
            yield rows
            after = rows[-1][:places]


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)


def _sale(row: Any) -> Sale:
    return Sale(row[0], row[1], row[2], row[3], date.fromisoformat(row[4]) if row[4] else None)
