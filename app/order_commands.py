"""The console commands on single orders and batches: `resend` and `explain`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from app.config import DEFAULT_EVENT_TYPE
from app.errors import Conflict, NotFound
from app.ledger.collect import collect
from app.ledger.evidence import as_text
from app.ledger.explain import explain as explain_order
from app.ledger.explanation import Explanation
from app.ledger.repair import RepairView, repair
from app.service import Service, assemble

UNTOLD: Final = "not known yet"


def resend(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="The id of a batch that impact.com refused in part.")],
    order: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="An order that was repaired at impact.com's side; may be given several times."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send the repaired orders of a batch again in a new file, as POST /batches/{id}/corrections does."""
    service = _prepared()
    settings, hold = service.settings, service.hold
    try:
        view = repair(service.database, settings, hold, batch, order or [], service.clock, dry_run=dry_run)
    finally:
        service.database.close()
    if as_json:
        typer.echo(view.model_dump_json(indent=2))
    else:
        _tell(view, dry_run=dry_run)


def _tell(view: RepairView, *, dry_run: bool) -> None:
    for one in view.left_out:
        reasons = ", ".join(each.code for each in one.reasons)
        typer.echo(f"order {one.order_id} stays{f' ({reasons})' if reasons else ''}: {one.detail}")
    for file in view.batches:
        typer.echo(f"{file.filename}: {file.rows} rows, {file.orders} orders")
    goes = "would be sent" if dry_run else "are sent"
    end = " Nothing was changed." if dry_run else ""
    typer.echo(f"{view.orders} orders {goes} again, {len(view.left_out)} stay.{end}")


def explain(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The shop's id of the order.")],
    event_type: Annotated[
        str, typer.Option(metavar="KEY", help="The event type that it is recorded under.")
    ] = DEFAULT_EVENT_TYPE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    evidence: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is on record of it for a partner's claim there.")
    ] = None,
) -> None:
    """Say why an order was credited or not, step by step, and what can still be done."""
    service = _prepared()
    key, now = (event_type, order), service.clock()
    try:
        with service.database.snapshot() as session:
            told = explain_order(session, service.settings, key, now)
            facts = None if evidence is None else collect(session, service.settings, key, now)
    except NotFound as missing:
        raise NotFound(
            f"There is no order {order} of event type {event_type}; --event-type KEY names another one."
        ) from missing
    finally:
        service.database.close()
    if evidence is not None and facts is not None:
        _write(evidence, facts.model_dump_json(indent=2) if as_json else as_text(facts))
    elif as_json:
        typer.echo(told.model_dump_json(indent=2))
    else:
        _show(told)


def _write(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises Conflict, NotFound."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"{path} is there already, and is not overwritten; name another file.") from None
    except OSError as error:
        raise NotFound(f"{path} cannot be written ({error.strerror}).") from None
    typer.echo(f"Written to {path}.")


def _show(told: Explanation) -> None:
    credited = {True: "yes", False: "no", None: UNTOLD}[told.credited]
    typer.echo(f"Order {told.order_id} ({told.event_type}), credited: {credited}")
    typer.echo(told.summary)
    for step in told.steps:
        at = step.at.isoformat(timespec="seconds") if step.at else "-"
        typer.echo(f"  {at:25}  {step.stage:10}  {step.text}")
    for sentence in told.next:
        typer.echo(sentence)


def _prepared() -> Service:
    service = assemble()
    service.prepare()
    return service
