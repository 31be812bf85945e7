"""The console command `reconcile`."""

import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from app.errors import InvalidInput
from app.ledger.reconcile import Files, check_period, known, reconcile
from app.ledger.reconciliation import Found
from app.ledger.report import Csv, First, report, table
from app.ledger.scratch import Scratch
from app.ledger.side_files import read_actions, read_shop
from app.service import assemble

DIFFERENCES: Final = 1


class Form(StrEnum):
    """How a comparison is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def reconcile_sides(
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day (UTC), such as 2026-11-01.")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day; at most 45 days in all.")],
    form: Annotated[Form, typer.Option("--format", help="CSV lists every difference.")] = Form.TABLE,
    shop: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The shop's own orders, CSV or NDJSON, in place of what it posted."),
    ] = None,
    actions: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="An export of impact.com's actions, in place of its API.")
    ] = None,
) -> None:
    """Compare shop, service and impact.com. Exit status 1 if they differ, or if the command fails; 0 if they agree."""
    period = _day(first, "--from"), _day(last, "--to")
    try:
        check_period(*period)
    except InvalidInput as wrong:
        raise typer.BadParameter(wrong.faults[0].detail, param_hint="--to") from None
    service = assemble()
    service.prepare()
    listed, scratch = First(), Scratch()
    sink: Callable[[Found], object] = Csv(_Crlf()) if form is Form.CSV else listed
    with closing(scratch):
        if shop:
            read_shop(shop, service.settings, scratch)
        if actions:
            read_actions(actions, service.settings, scratch)
        files = Files(scratch, shop=shop is not None, actions=actions is not None)
        with service.database.snapshot() as session:
            what = known(session, service.settings, service.clock(), files)
            tally = reconcile(session, service.settings, period, what, sink, files)
    service.database.close()
    told = report(period, what, tally, listed.found, shop_is_a_file=shop is not None)
    if form is Form.JSON:
        typer.echo(told.model_dump_json(by_alias=True, indent=2))
    elif form is Form.TABLE:
        for line in table(told):
            typer.echo(line)
    if tally.differences:
        raise typer.Exit(DIFFERENCES)


class _Crlf:
    """Standard output, whose line ends stay as they are."""

    def write(self, text: str) -> None:
        sys.stdout.buffer.write(text.encode())


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write the day as 2026-11-22", param_hint=option) from None
