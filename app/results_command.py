"""The console command `results`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.errors import NotFound
from app.service import assemble
from app.submissions.by_hand import Outcome, batch_in_name, find, record_by_hand
from app.submissions.record import Trouble
from app.submissions.report import read_report


def results(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="An error report, a list of file submissions, or a receipt_… or result_… file of impact.com, CSV or"
            " JSON. Recognised columns: Line, OrderId or Oid, Sku, Category, Reason or Error, Status; FileName,"
            " TotalRecords, TotalErrors.",
        ),
    ] = None,
    batch: Annotated[str, typer.Option(metavar="ID", help="The batch, if FILE's name does not name its file.")] = "",
    name: Annotated[str, typer.Option(metavar="FILENAME", help="The batch, by the name of its file.")] = "",
    accepted: Annotated[
        bool,
        typer.Option(
            "--accepted", help="Record that impact.com shows the file as Complete, with no errors but those on record."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would mean, and record nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Record what impact.com made of a batch, from a report, where its API cannot be asked. Again changes nothing."""
    if (file is None) != accepted:
        raise typer.BadParameter("name a report, or say --accepted", param_hint="FILE")
    batch_id = batch or batch_in_name(name or (file.name if file else ""))
    if not batch_id:
        raise typer.BadParameter(
            "FILE's name does not hold the name of a batch's file; say which one by --batch or --name",
            param_hint="--batch",
        )
    service = assemble()
    service.prepare()
    try:
        with service.database.snapshot() as session:
            filename = find(session, batch_id).filename
        report = None if file is None else read_report(_content(file), filename)
        outcome = record_by_hand(service.database, batch_id, report, service.clock(), dry_run=dry_run)
    finally:
        service.database.close()
    typer.echo(json.dumps(asdict(outcome), indent=2) if as_json else "\n".join(_sentences(outcome, dry_run=dry_run)))
    if outcome.trouble:
        raise typer.Exit(1)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", code="FILE_UNREADABLE") from error


_TROUBLES = {
    Trouble.RECORDS_DIFFER: "impact.com counts other records than the file has rows: it may have been cut.",
    Trouble.ERRORS_MISSING: "impact.com counts more errors than this names; read its error report too.",
    Trouble.NOT_JOINED: "Errors of none of the file's lines are kept, and GET /submissions shows them.",
}


def _sentences(outcome: Outcome, *, dry_run: bool) -> list[str]:
    """Return lines for a person."""
    if not outcome.is_new:
        return [f"{outcome.filename}: this is known already, and nothing was changed."]
    counts = f"{outcome.partly_accepted} accepted in part, {outcome.rejected} rejected"
    told = [f"{outcome.filename}: {outcome.accepted} accepted, {counts}."]
    if outcome.trouble:
        what = "It has no result yet, and only what is rejected is recorded."
        told = [f"{outcome.filename}: {counts}.", f"{_TROUBLES[outcome.trouble]} {what}"]
        told.append("Once you have looked, --accepted records that nothing else was refused.")
    if outcome.lines_told:
        told.append(outcome.lines_told)
    return [*told, "Nothing was recorded."] if dry_run else told
