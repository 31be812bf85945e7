"""What became of the lines of an import: every line is recorded, was there already, or is rejected."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from app.conversions.order import Order
from app.impact.currency import format_amount

SHOWN: Final = 10


class Fate(StrEnum):
    """What became of a line."""

    RECORDED = "recorded"
    PRESENT = "present"
    REJECTED = "rejected"


@dataclass(slots=True)
class Tally:
    """Counts of lines and orders; sums of orders, items and minor units by currency; and what to look after."""

    lines: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    sums: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    held: int = 0
    too_old: int = 0

    def count(self, order: Order, fate: Fate, lines: int, *, too_old: bool) -> None:
        """Count an order that is recorded now; `too_old`: it will expire."""
        self.lines[fate] += lines
        self.orders[fate] += 1
        sums = self.sums.setdefault(order.currency, {}).setdefault(fate, [0, 0, 0])
        sums[0] += 1
        sums[1] += len(order.items)
        sums[2] += order.amount
        if fate is Fate.RECORDED:
            self.held += order.hold_reason is not None
            self.too_old += too_old

    def reject(self, lines: int, code: str) -> None:
        """Count lines that are rejected together."""
        self.lines[Fate.REJECTED] += lines
        self.orders[Fate.REJECTED] += 1
        self.codes[code] += 1

    def as_json(self) -> dict[str, Any]:
        """Return everything; amounts are minor units."""
        return {
            "lines": dict(self.lines),
            "orders": dict(self.orders),
            "sums": self.sums,
            "codes": dict(self.codes),
            "held": self.held,
            "too_old": self.too_old,
        }

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> Self:
        """Return what `as_json` told."""
        counters = {name: Counter(noted[name]) for name in ("lines", "orders", "codes")}
        return cls(**counters, sums=noted["sums"], held=noted["held"], too_old=noted["too_old"])


def told(tally: Tally, *, dry_run: bool) -> dict[str, Any]:
    """Return the summary for programs."""
    sums = {
        currency: {
            fate: {"orders": orders, "items": items, "amount": format_amount(amount, currency)}
            for fate, (orders, items, amount) in fates.items()
        }
        for currency, fates in sorted(tally.sums.items())
    }
    counts = {
        "lines": {fate: tally.lines[fate] for fate in Fate},
        "orders": {fate: tally.orders[fate] for fate in Fate},
    }
    return {"dry_run": dry_run, "lines_read": tally.lines.total(), **tally.as_json(), **counts, "sums": sums}


def sentences(tally: Tally, *, dry_run: bool) -> Sequence[str]:
    """Return the summary for people."""
    would, rejected = ("would be recorded", "would be") if dry_run else ("were recorded", "were")
    counts = [f"{tally.lines[fate]:,}" for fate in Fate]
    total = (
        f"{tally.lines.total():,} lines: {counts[0]} {would}, {counts[1]} were there already, {counts[2]} {rejected}"
    )
    lines = [f"{total} rejected."]
    for currency, fates in sorted(tally.sums.items()):
        for fate, (orders, items, amount) in fates.items():
            what = would if fate == Fate.RECORDED else "were there already"
            lines.append(
                f"{currency}: {orders:,} orders of {items:,} items, {format_amount(amount, currency)}, {what}."
            )
    if tally.held:
        lines.append(
            f"{tally.held:,} orders have no click id, promo code or media id: they are held until somebody says whom"
            " they are credited to."
        )
    if tally.too_old:
        lines.append(
            f"{tally.too_old:,} orders are older than impact.com takes; they are kept, and expire with the next export."
        )
    lines += [f"{code}: {number:,}" for code, number in tally.codes.most_common(SHOWN)]
    return lines
