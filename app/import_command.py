"""The console command `import`."""

import json
import os
import time
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from rich.console import Console
from rich.progress import wrap_file

from app.config import DEFAULT_EVENT_TYPE
from app.conversions.mapping import Mapping, read_mapping
from app.errors import NotFound
from app.ledger.import_tally import Fate, sentences, told
from app.ledger.imports import Import, Request
from app.service import assemble

SHOWN: Final = 20


class FileFormat(StrEnum):
    """How a file of orders is written."""

    CSV = "csv"
    NDJSON = "ndjson"


def import_orders(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Orders: CSV in impact.com's layouts or by a mapping, or NDJSON.")
    ],
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="What the file is, if its first character does not tell.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="What the columns of another CSV mean: docs/reference/import-files.md."),
    ] = None,
    event_type: Annotated[
        str, typer.Option(metavar="KEY", help="The event type of orders that name none.")
    ] = DEFAULT_EVENT_TYPE,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where rejected lines go; without it, beside FILE, and nowhere in a dry run."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and record nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Record the orders of a file, each exactly once. The same command again goes on where it was interrupted."""
    service = assemble()
    if event_type not in service.settings.event_type_keys:
        known = ", ".join(service.settings.event_type_keys)
        raise typer.BadParameter(
            f"there is no event type {event_type!r}; there are: {known}", param_hint="--event-type"
        )
    request = Request(
        file,
        rejects or (None if dry_run else file.with_name(f"{file.stem}.rejects{file.suffix}")),
        None if file_format is None else file_format.value,
        _read_mapping(mapping),
        event_type,
        dry_run,
    )
    service.prepare()
    work = Import(service.database, service.settings, request, service.clock, time.sleep)
    reasons: list[str] = []
    try:
        tally = work.run(_watched, lambda reason: reasons.append(reason) if len(reasons) < SHOWN else None)
    finally:
        service.database.close()
    if as_json:
        typer.echo(json.dumps(told(tally, dry_run=dry_run), indent=2))
    else:
        for line in (*reasons, *sentences(tally, dry_run=dry_run)):
            typer.echo(line)
        if work.resumed_at:
            typer.echo(f"An import that was interrupted was ended from line {work.resumed_at:,} on.")
        if tally.lines[Fate.REJECTED] and request.rejects:
            typer.echo(f"The rejected lines and their reasons are in {request.rejects}; repair and import that file.")
    if tally.lines[Fate.REJECTED]:
        raise typer.Exit(1)


def _read_mapping(path: Path | None) -> Mapping | None:
    if path is None:
        return None
    try:
        return read_mapping(path.read_text("utf-8"))
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", code="FILE_UNREADABLE") from error
    except UnicodeDecodeError:
        raise NotFound(f"{path} is not UTF-8; save it as such.", code="FILE_UNREADABLE") from None


def _watched(content: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Show on a terminal how much of a file has been read: first as a whole, and then order by order."""
    console, size = Console(stderr=True), os.fstat(content.fileno()).st_size
    return wrap_file(
        content, size, description="importing", console=console, disable=not console.is_terminal, transient=True
    )
