"""The console commands on a person: `erase` and `person`."""

import json
import os
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.errors import NotFound, Unavailable
from app.privacy.erase import Erasure, Person
from app.privacy.person import tell
from app.purge import means_of
from app.service import Service, assemble
from app.strict_json import unusable

STDIN: Final = "-"

CustomerIds = Annotated[
    list[str] | None, typer.Option("--customer", metavar="ID", help="A customer id; may be given several times.")
]
ClickIds = Annotated[
    list[str] | None, typer.Option("--click", metavar="ID", help="A click id; may be given several times.")
]
CustomerFile = Annotated[
    Path | None, typer.Option("--customers-from", metavar="FILE", help="Customer ids, one a line; - reads them here.")
]
ClickFile = Annotated[
    Path | None, typer.Option("--clicks-from", metavar="FILE", help="Click ids, one a line; - reads them here.")
]


def erase(
    customer: CustomerIds = None,
    click: ClickIds = None,
    customers_from: CustomerFile = None,
    clicks_from: ClickFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Write the database anew also if nothing was found in it.")
    ] = False,
) -> None:
    """Erase what is kept of a person: in tables, files, journal and spool. What was sold stays, without them."""
    who, service = _person(customer, click, customers_from, clicks_from), _prepared()
    erasure = Erasure(means_of(service), who, service.clock(), dry_run=dry_run)
    try:
        for _ in erasure.steps(compact=compact):
            pass
    finally:
        service.database.close()
    _tell(erasure, dry_run=dry_run)
    if erasure.waits_for:
        raise typer.Exit(1)


def person(
    customer: CustomerIds = None,
    click: ClickIds = None,
    customers_from: CustomerFile = None,
    clicks_from: ClickFile = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new file, which its owner alone may read; else it is printed."),
    ] = None,
) -> None:
    """Tell everything that is kept of a person, as JSON: in the database, and in journal and spool of this host."""
    who, service = _person(customer, click, customers_from, clicks_from), _prepared()
    try:
        told = tell(means_of(service), who, service.clock())
    finally:
        service.database.close()
    text = json.dumps(told, indent=2, ensure_ascii=False, default=_as_text)
    if output is None:
        typer.echo(text)
        return
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise Unavailable(
            f"{output} cannot be written anew ({error.strerror}); name a file that is not there."
        ) from None
    typer.echo(
        f"{_so_many(len(told['orders']), 'order')}, {_so_many(len(told['clicks']), 'click')} and"
        f" {_so_many(len(told['files']), 'file')} told of."
    )


def _so_many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _tell(erasure: Erasure, *, dry_run: bool) -> None:
    if erasure.found_nothing:
        typer.echo("Nothing is kept under these ids, on this host or in the database.")
        return
    counts, would = erasure.counts, " would be" if dry_run else ""
    typer.echo(
        f"{_so_many(counts['orders'], 'order')}{would} cleared, {_so_many(counts['clicks'], 'click')}{would} deleted,"
        f" {_so_many(counts['notes'], 'note')} in the spool{would} overwritten,"
        f" {_so_many(counts['files'], 'file')}{would} emptied, {_so_many(counts['sentences'], 'sentence')}{would} cut."
    )
    if counts["held"]:
        goes = "would wait" if dry_run else "now wait" if counts["held"] > 1 else "now waits"
        typer.echo(
            f"{_so_many(counts['held'], 'order')} that had not left, credited by a click alone, {goes} as held,"
            " no_attribution, until somebody names a promo code or a media id by PUT /orders/{order_id}/attribution."
        )
    if erasure.waits_for:
        typer.echo(
            f"Not finished: {_so_many(counts['late'], 'order')} in files that are still under way, or that impact.com"
            " may not have fetched yet. Repeat the command when these batches have arrived:"
            f" {', '.join(sorted(erasure.waits_for))}.",
            err=True,
        )
    if dry_run:
        typer.echo("Nothing was changed.")


def _person(
    customer: list[str] | None, click: list[str] | None, customers_from: Path | None, clicks_from: Path | None
) -> Person:
    customer_ids = frozenset(customer or ()) | _lines(customers_from)
    click_ids = frozenset(click or ()) | _lines(clicks_from)
    if not any(customer_ids | click_ids):
        raise typer.BadParameter("name somebody by --customer, --click, --customers-from or --clicks-from")
    if any(map(unusable, customer_ids | click_ids)):
        raise typer.BadParameter("an id has a character that nothing here can hold; give the ids in UTF-8, one a line")
    return Person(customer_ids - {""}, click_ids - {""})


def _lines(path: Path | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    with ExitStack() as stack:
        try:
            text = sys.stdin if str(path) == STDIN else stack.enter_context(path.open(encoding="utf-8"))
            return frozenset(line.rstrip("\r\n") for line in text)
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"{path} cannot be read as ids, one a line ({error}).", code="FILE_UNREADABLE") from None


def _prepared() -> Service:
    service = assemble()
    service.prepare()
    return service
