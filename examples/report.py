"""Tells a person what happened, as tables; on a terminal with a progress bar while it does."""

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from examples.expected import FAULTY, Line, in_groups, totals
from examples.reconcile import Answer, accepted, codes, money_in

T = TypeVar("T")

WIDTH_IN_A_PIPE = 120
SAID = {
    "delivered": "in the file",
    "held": "held",
    "expired": "expired",
    200: "known already",
    409: "refused",
    422: "refused",
}


def console() -> Console:
    """Return where the tables go; in a pipe their width does not depend on who reads them."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE, highlight=False, emoji=False, markup=False)


def watched(steps: Sequence[T], what: str) -> Iterable[T]:
    """Return the steps, with a progress bar on a terminal."""
    return track(steps, what, disable=not sys.stdout.isatty(), transient=True)


def show_orders(lines: Sequence[Line], answers: Sequence[Answer]) -> None:
    """Print what happened to each group of orders."""
    table = _table("Orders", "How many>", "Answer", "What happened", "Why")
    for group, members in in_groups(lines).items():
        happened = SAID[group.state or group.status]
        table.add_row(group.name, str(len(members)), str(group.status), happened, group.why)
    table.add_section()
    table.add_row("all lines", str(len(lines)), "", "", f"{len(accepted(lines))} orders recorded")
    console().print(table)
    print(f"Faults that were named: {', '.join(codes(lines, answers, FAULTY))}\n")


def show_money(lines: Sequence[Line], files: Sequence[bytes]) -> None:
    """Print each currency's amounts: accepted, in the files, held and expired."""
    table = _table("Currency", "Accepted>", "In the file>", "Held>", "Expired>")
    columns = [totals(line.order for line in accepted(lines)), money_in(files)]
    columns += [totals(line.order for line in lines if line.group.state == state) for state in ("held", "expired")]
    for currency in columns[0]:
        table.add_row(currency, *(f"{column[currency]:,f}" if currency in column else "-" for column in columns))
    console().print(table)


def show_refusals(rows: Iterable[Sequence[str]]) -> None:
    """Print why orders were refused: how many, the reason, what it means, what is to be done, and what became of it."""
    table = _table("Refused>", "Reason", "What it means", "What to do", "Now")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left")
    return table
