"""The console commands `doctor` and `recover`."""

from typing import Annotated

import typer

from app.delivery.recover import Fate, explain
from app.delivery.recover import recover as recover_files
from app.doctor.examine import report
from app.doctor.finding import Asked
from app.doctor.site import is_address
from app.errors import Failure
from app.service import assemble


def _address(value: str) -> str:
    if value and not is_address(value):
        raise typer.BadParameter("write an address such as https://www.shop.example/boots, without a password in it")
    return value


def _addresses(values: list[str]) -> list[str]:
    return [_address(one) for one in values]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storefront: Annotated[
        list[str],
        typer.Option(metavar="URL", callback=_addresses, help="A page of the shop that ads lead to; may be repeated."),
    ] = [],  # noqa: B006 (Typer copies it)
    tracking: Annotated[
        str,
        typer.Option(
            metavar="URL", callback=_address, help="Where browsers reach the service: https://track.shop.example"
        ),
    ] = "",
    network: Annotated[bool, typer.Option(help="Try channels, impact.com's API and pages; each logs in once.")] = True,
) -> None:
    """Say what is wrong here and how to put it right; change nothing, and leave nothing anywhere."""
    service = assemble()
    told, failed = report(service, Asked(network, tuple(storefront), tracking), as_json=as_json)
    service.database.close()
    typer.echo(told)
    if failed:
        raise typer.Exit(1)


def recover(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be recorded, and change nothing.")
    ] = False,
    without_missing: Annotated[
        bool,
        typer.Option(
            "--without-missing", help="Record also files with lost orders; if one comes again, it goes again."
        ),
    ] = False,
) -> None:
    """After an older database was restored: put on record again what the journal shows to have left."""
    service = assemble()
    service.prepare()
    found = list(
        recover_files(service.database, service.hold, service.clock(), dry_run=dry_run, without_missing=without_missing)
    )
    service.database.close()
    for one in found:
        typer.echo(explain(one))
    refused = sum(one.fate is not Fate.RECOVERED for one in found)
    typer.echo(f"{len(found) - refused} kept files {'would be' if dry_run else 'were'} recorded, {refused} not.")
    if refused:
        raise Failure("Nothing leaves before the rest is recorded too; see above what each file needs.")
