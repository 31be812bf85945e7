"""What must hold of the ledger whatever happened, judged from what a shop was told and from nothing the service says.

The shop's side is a file of acknowledgements, on disk before the next call. The service's side is read with plain SQL
and from where impact.com would read.
"""

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

from app.database import Database
from tests.support import parse_rfc4180

DECIMALS: Final = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}
MINIMUM: Final = (
    *("CampaignId", "ActionTrackerId", "EventDate", "OrderId", "ClickId", "CustomerId", "CurrencyCode", "Amount"),
    *("Category", "Sku", "Quantity"),
)
MAX_AGE, MAX_AGE_WITH_MEDIA_ID = timedelta(days=87), timedelta(days=397)

Body = dict[str, Any]
Key = tuple[str, str]


class Acknowledgements:
    """What the shop was told is kept: one JSON line per order, synced before the next call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def add(self, bodies: Iterable[Body]) -> None:
        """Note orders that were answered 201 or 200."""
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(body) + "\n" for body in bodies)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Body]:
        """Return the orders in the order in which they were noted first."""
        if not self.path.exists():
            return []
        lines = self.path.read_text("utf-8").splitlines()
        return list({key_of(body): body for body in reversed([json.loads(line) for line in lines])}.values())[::-1]


@dataclass(frozen=True)
class Rules:
    """What the merchant's settings promise. `event_types`: key to (campaign, action tracker), as set up now."""

    max_rows: int
    event_types: Mapping[str, tuple[int, int]]
    now: datetime
    filled: bool = True
    """Nothing was recorded during the export, so that each file is as full as the next order allows."""


@dataclass
class Facts:
    """What the database and the receiver hold."""

    conversions: list[Key]
    revisions: dict[int, Key]
    amounts: dict[int, tuple[str, int]]
    unsent: dict[int, str | None]
    left_out: dict[int, str]
    lines: list[tuple[int, int, int]]
    batches: dict[int, dict[str, Any]]
    delivered: set[int]
    doubtful: set[int]
    attempts: Counter[int]
    histories: dict[int, list[str]]
    open_work: int
    files: dict[str, bytes] = field(default_factory=dict)

    def states(self, revision: int) -> list[str]:
        """Return every place in which a revision is: one, if all is well."""
        batches = [batch for one, batch, _ in self.lines if one == revision]
        states = [self._batch_state(batch) for batch in batches]
        if revision in self.left_out:
            states.append(self.left_out[revision])  # one that still waits too is looked at again by the next export
        if revision in self.unsent and states != ["held"]:
            states.append("held" if self.unsent[revision] else "pending")
        return states

    def _batch_state(self, batch: int) -> str:
        return "delivered" if batch in self.delivered else "unknown" if batch in self.doubtful else "batched"


def read(database: Database, receiver: Path | Callable[[], dict[str, bytes]]) -> Facts:
    """Read the database in one snapshot, and the folder, or what another receiver has."""
    with database.snapshot() as session:

        def rows(query: str) -> list[Any]:
            return list(session.connection().exec_driver_sql(query))

        attempts = rows("SELECT batch, status FROM attempt ORDER BY batch, number")
        columns = ("id", "filename", "rows", "orders", "sha256", "event_type", "created_at", "content")
        return Facts(
            conversions=[(one[0], one[1]) for one in rows("SELECT event_type, order_id FROM conversion")],
            revisions={
                one[0]: (one[1], one[2])
                for one in rows(
                    "SELECT r.id, c.event_type, c.order_id FROM revision r LEFT JOIN conversion c"
                    " ON c.id = r.conversion_id"
                )
            },
            amounts={
                one[0]: (one[1], int(one[2]))
                for one in rows(
                    "SELECT r.id, r.currency, sum(i.amount) FROM revision r JOIN item i ON i.revision_id = r.id"
                    " GROUP BY r.id, r.currency"
                )
            },
            unsent=dict(rows("SELECT revision_id, hold_reason FROM unsent")),
            left_out=dict(rows("SELECT revision_id, state FROM left_out")),
            lines=[tuple(one) for one in rows("SELECT revision_id, batch, first_line FROM batch_line ORDER BY 2, 3")],
            batches={
                one[0]: dict(zip(columns, one, strict=True))
                for one in rows(
                    "SELECT b.id, b.filename, b.rows, b.orders, b.sha256, b.event_type, b.created_at, c.content"
                    " FROM batch b LEFT JOIN batch_content c ON c.batch = b.id ORDER BY b.id"
                )
            },
            delivered={batch for batch, status in attempts if status == "delivered"},  # once is for ever
            doubtful={batch for batch, status in attempts if status == "unknown"},
            attempts=Counter(batch for batch, _ in attempts),
            histories={
                batch: [status for _, status in of_batch]
                for batch, of_batch in groupby(attempts, key=lambda one: one[0])
            },
            open_work=len(rows("SELECT id FROM export WHERE slot = 1 UNION ALL SELECT batch FROM undelivered")),
            files=files_in(receiver) if isinstance(receiver, Path) else receiver(),
        )


def files_in(folder: Path) -> dict[str, bytes]:
    """Read what lies in a folder; what is renamed or taken away meanwhile is not there."""
    found: dict[str, bytes] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            found[path.name] = path.read_bytes()
    return found


def leave_out_parts(facts: Facts) -> None:
    """Take no notice of a file that is under way, if its batch begins with what is there of it."""
    for number, batch in facts.batches.items():
        if number not in facts.delivered and batch["content"].startswith(facts.files.get(batch["filename"], b"?")):
            del facts.files[batch["filename"]]


def key_of(body: Body) -> Key:
    """Return what makes an order one order."""
    return body.get("event_type", "default"), body["order_id"]


# What must hold at any moment ------------------------------------------------------------------------------------


def faults(facts: Facts, acknowledged: Sequence[Body], rules: Rules, unanswered: Sequence[Body] = ()) -> list[str]:
    """Return what is wrong at this moment, also in the middle of an export; `unanswered` orders may be there or not."""
    return [
        *_about_orders(facts, acknowledged, unanswered),
        *_about_places(facts),
        *_about_batches(facts),
        *_about_content(facts, {key_of(body): body for body in (*acknowledged, *unanswered)}, rules),
        *_about_amounts(facts, acknowledged, unanswered),
    ]


def faults_at_rest(facts: Facts, acknowledged: Sequence[Body], rules: Rules) -> list[str]:
    """Return what is wrong when every export has ended and everything that can be delivered is."""
    return [
        *faults(facts, acknowledged, rules),
        *_about_rest(facts, {key_of(body): body for body in acknowledged}, rules),
        *(_about_filling(facts, rules) if rules.filled else ()),
    ]


def _about_orders(facts: Facts, acknowledged: Sequence[Body], unanswered: Sequence[Body]) -> Iterator[str]:
    recorded, revised = Counter(facts.conversions), Counter(facts.revisions.values())
    known = {key_of(body) for body in acknowledged}
    yield from (f"{key} was acknowledged and is missing" for key in known if not recorded[key])
    yield from (f"{key} is recorded {count} times" for key, count in recorded.items() if count > 1)
    yield from (f"{key} has {revised[key]} revisions" for key in recorded if revised[key] != recorded[key])
    unknown = recorded.keys() - known - {key_of(body) for body in unanswered}
    yield from (f"{key} is recorded and nobody sent it" for key in unknown)


def _about_places(facts: Facts) -> Iterator[str]:
    for revision, key in facts.revisions.items():
        states = facts.states(revision)
        if len(states) != 1:
            yield f"{key} is in {len(states)} places: {', '.join(states)}"
    orphans = {*facts.unsent, *facts.left_out, *(one for one, _, _ in facts.lines)} - facts.revisions.keys()
    yield from (f"revision {one} is somewhere, but of no order" for one in orphans)


def _about_batches(facts: Facts) -> Iterator[str]:
    names = {batch["filename"]: batch for batch in facts.batches.values()}
    for batch in facts.batches.values():
        if _sha256(batch["content"] or b"") != batch["sha256"]:
            yield f"the stored content of {batch['filename']} has changed"
    for number in facts.delivered:
        if facts.batches[number]["filename"] not in facts.files:
            yield f"{facts.batches[number]['filename']} was delivered and is not there"
    for name, content in facts.files.items():
        if name.endswith(".part"):
            continue
        if name not in names:
            yield f"{name} lies there and is no batch"
        elif _sha256(content) != names[name]["sha256"]:
            yield f"{name} differs from its batch"


def _about_content(facts: Facts, bodies: Mapping[Key, Body], rules: Rules) -> Iterator[str]:
    """Read every batch as its receiver would, and compare it with what the shop sent."""
    seen: Counter[Key] = Counter()
    for number, batch in facts.batches.items():
        content = facts.files.get(batch["filename"], batch["content"])
        try:
            header, *rows = list(parse_rfc4180(content))
        except ValueError as error:
            yield f"{batch['filename']} cannot be read: {error}"
            continue
        if tuple(header[: len(MINIMUM)]) != MINIMUM:
            yield f"{batch['filename']} has another header"
        if len(rows) > rules.max_rows or len(rows) != batch["rows"]:
            yield f"{batch['filename']} has {len(rows)} rows"
        runs = _runs(rows)
        seen.update((batch["event_type"], order_id) for order_id, _, _ in runs)
        stored = [(facts.revisions.get(one), line) for one, at, line in facts.lines if at == number]
        if stored != [((batch["event_type"], order_id), line) for order_id, line, _ in runs]:
            yield f"{batch['filename']} has other lines than its batch"
        yield from _about_rows(batch, header, runs, bodies, rules)
    yield from (f"{key} stands in {count} places of the files" for key, count in seen.items() if count > 1)


def _runs(rows: Sequence[list[str]]) -> list[tuple[str, int, list[list[str]]]]:
    """Return (order id, line number of its first line, rows) of each unbroken run of an order's rows."""
    runs, line = [], 2
    for order_id, group in groupby(rows, key=lambda row: row[3]):
        run = list(group)
        runs.append((order_id, line, run))
        line += len(run)
    return runs


def _about_rows(
    batch: dict[str, Any],
    header: list[str],
    runs: Sequence[tuple[str, int, list[list[str]]]],
    bodies: Mapping[Key, Body],
    rules: Rules,
) -> Iterator[str]:
    for order_id, _, rows in runs:
        body = bodies.get((batch["event_type"], order_id))
        if body is None:
            yield f"{batch['filename']} has {order_id}, which nobody sent"
            continue
        expected = expected_rows(body, header, rules, _time(batch["created_at"]))
        if rows != expected:
            yield f"{batch['filename']} says something else of {order_id} than the shop: {rows} for {expected}"


def expected_rows(body: Body, header: Sequence[str], rules: Rules, now: datetime) -> list[list[str]]:
    """Return the rows that the shop's own body makes in a file of `now`."""
    campaign, tracker = rules.event_types[key_of(body)[0]]
    click, promo, media = (body.get(name) for name in ("click_id", "promo_code", "media_id"))
    credit = {
        "PromoCode": promo if click is None and promo else "",
        "MediaId": media if media and ((click is None and promo is None) or _age(body, now) > MAX_AGE) else "",
    }
    order = (
        str(campaign),
        str(tracker),
        body["event_date"],
        body["order_id"],
        click or "",
        body.get("customer_id", ""),
    )
    after = [credit[name] for name in header[len(MINIMUM) :]]
    return [
        [*order, body["currency"], _written(item, body), item["category"], item["sku"], str(item["quantity"]), *after]
        for item in body["items"]
    ]


def _about_amounts(facts: Facts, acknowledged: Sequence[Body], unanswered: Sequence[Body]) -> Iterator[str]:
    """Sums per currency agree between the shop, the database, and the files with what did not go into one."""
    recorded = set(facts.conversions)
    shop = _sums((body["currency"], amount_of(body)) for body in acknowledged)
    shop += _sums(
        (body["currency"], amount_of(body))
        for body in {key_of(one): one for one in unanswered}.values()
        if key_of(body) in recorded and key_of(body) not in {key_of(one) for one in acknowledged}
    )
    kept = _sums((currency, _major(amount, currency)) for currency, amount in facts.amounts.values())
    on_lines = {revision for revision, _, _ in facts.lines}
    waiting = [amount for revision, amount in facts.amounts.items() if revision not in on_lines]
    sent = _sums((currency, _major(amount, currency)) for currency, amount in waiting) + _sums(_amounts_in_files(facts))
    if shop != kept:
        yield f"the amounts that the shop sent {dict(shop)} are not the recorded ones {dict(kept)}"
    if kept != sent:
        yield f"the amounts recorded {dict(kept)} are not those of the files and the rest {dict(sent)}"


def _amounts_in_files(facts: Facts) -> Iterator[tuple[str, Decimal]]:
    for batch in facts.batches.values():
        try:
            rows = list(parse_rfc4180(facts.files.get(batch["filename"], batch["content"])))[1:]
            yield from [(row[6], Decimal(row[7])) for row in rows]
        except (ValueError, ArithmeticError, IndexError):
            continue  # said already, where files are read


# What must hold when there is nothing left to do -----------------------------------------------------------------


def _about_rest(facts: Facts, bodies: Mapping[Key, Body], rules: Rules) -> Iterator[str]:
    if facts.open_work:
        yield f"{facts.open_work} exports or deliveries have not ended"
    yield from (f"{name} was left behind" for name in facts.files if name.endswith(".part"))
    expected, found = Counter[str](), Counter[str]()
    for revision, key in facts.revisions.items():
        if key not in bodies:
            continue
        state, states = expected_state(bodies[key], rules), facts.states(revision)
        expected[state] += 1
        found.update(states)
        if states != [state]:
            yield f"{key} is {' and '.join(states) or 'nowhere'}, not {state}"
    if found != expected or found.total() != len(bodies):
        yield f"{len(bodies)} orders were acknowledged, and {dict(found)} are there, not {dict(expected)}"


def _about_filling(facts: Facts, rules: Rules) -> Iterator[str]:
    """A file is closed only when the next order does not fit, and orders go in the order of recording."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for batch in facts.batches.values():
        by_type.setdefault(batch["event_type"], []).append(batch)
    for batches in by_type.values():
        for one, following in pairwise(batches):
            _, _, rows = _runs(list(parse_rfc4180(following["content"]))[1:])[0]
            if one["rows"] + len(rows) <= rules.max_rows:
                yield f"{one['filename']} was closed before it was full"
        order = [revision for revision, at, _ in facts.lines if facts.batches[at] in batches]
        if order != sorted(order):
            yield f"the orders of {batches[0]['event_type']} did not go in the order of recording"


def expected_state(body: Body, rules: Rules) -> str:
    """Return where an order belongs when every export has ended, told from the shop's body alone."""
    credited = any(body.get(name) for name in ("click_id", "promo_code", "media_id"))
    if not credited or key_of(body)[0] not in rules.event_types or len(body["items"]) > rules.max_rows:
        return "held"
    too_old = _age(body, rules.now) > (MAX_AGE_WITH_MEDIA_ID if body.get("media_id") else MAX_AGE)
    return "expired" if too_old else "delivered"


def amount_of(body: Body) -> Decimal:
    """Return an order's amount as the shop means it."""
    return sum((Decimal(str(item["amount"])) for item in body["items"]), Decimal())


def _time(stored: datetime | str) -> datetime:
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _age(body: Body, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(body["event_date"])


def _written(item: Body, body: Body) -> str:
    return f"{Decimal(str(item['amount'])):.{DECIMALS[body['currency']]}f}"


def _major(minor_units: int, currency: str) -> Decimal:
    return Decimal(minor_units).scaleb(-DECIMALS[currency])


def _sums(amounts: Iterable[tuple[str, Decimal]]) -> Counter[str]:
    """Add up by currency, in thousandths."""
    sums: Counter[str] = Counter()
    for currency, amount in amounts:
        thousandths = amount.scaleb(3)
        assert thousandths == int(thousandths), f"{amount} {currency} is not exact"
        sums[currency] += int(thousandths)
    return sums


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
