"""The console command `conversion-capture`."""

import asyncio
import io
import json
import logging
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGINT, SIGTERM, signal
from types import FrameType
from typing import Annotated, Any, BinaryIO, Final

import typer
import uvicorn
from rich.console import Console
from rich.progress import Progress, wrap_file

from app import logs, worker
from app.batches import amend
from app.batches.build import Plan, plans
from app.check.check import report
from app.clicks.release import release
from app.clicks.snippet_routes import current_snippet
from app.conversions.extra import parse_time
from app.delivery.api import room_for_calls
from app.delivery.resume import redeliver as redeliver_one
from app.delivery.resume import redeliver_all
from app.doctor import commands
from app.errors import Failure, LeaseLost
from app.event_type import HTTP_API
from app.import_command import import_orders
from app.ledger import corrections_store as corrections
from app.ledger import export_routes
from app.ledger import store as ledger
from app.ledger.exports import ExportView, find_batch, find_export, is_settled, with_deadlines
from app.main import DRAIN_SECONDS, create_app, openapi
from app.migrations import migrate as migrate_database
from app.order_commands import explain, resend
from app.person_commands import erase, person
from app.purge import everything
from app.reconcile_command import reconcile_sides
from app.results_command import results
from app.sandbox.command import sandbox
from app.security import new_key
from app.service import Service, assemble

LOOK_EVERY_SECONDS: Final = 0.2
LINGER_SECONDS: Final = 0.3

cli = typer.Typer(
    help="Keeps impact.com click ids, ties orders to them, and reports the orders as conversions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="Keys for the private endpoints.", no_args_is_help=True)
cli.add_typer(keys, name="keys")
cli.command()(commands.doctor)
cli.command()(commands.recover)
cli.command("import")(import_orders)
cli.command()(results)
cli.command()(sandbox)
cli.command()(resend)
cli.command()(explain)
cli.command()(erase)
cli.command()(person)
cli.command("reconcile")(reconcile_sides)


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    worker: Annotated[bool, typer.Option(help="Also build exports and deliver batches in this process.")] = True,
) -> None:
    """Serve the HTTP API."""
    logs.configure()
    service = _usable()
    config = uvicorn.Config(
        create_app(service, with_worker=worker),
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # its lines hold query strings, and those hold click ids
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(service.settings.trusted_proxies),
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )
    for number in (SIGTERM, SIGINT):
        signal(number, lambda *_: None)  # uvicorn raises the signal again when it has drained; the exit status is 0
    _Server(config, service).run()


class _Server(uvicorn.Server):
    """Is unready from the moment it is told to stop, and goes on answering until balancers have seen that."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self._leaves_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal, or Ctrl-C, does not wait for balancers."""
        waits = sig == SIGTERM and not self.service.stopping.is_set()
        self._leaves_at = time.monotonic() + self.service.settings.drain_seconds if waits else 0.0
        self.service.stopping.set()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to take no more connections."""
        return await super().on_tick(counter) and time.monotonic() >= self._leaves_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse connections, let those that came a moment ago say what they came for, and end the idle ones."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)


@cli.command("worker")
def run_worker() -> None:
    """Build exports and deliver batches, without serving."""
    logs.configure()
    service = _usable()

    def stop(*_: Any) -> None:
        service.stopping.set()
        service.bell.ring()

    for number in (SIGTERM, SIGINT):
        signal(number, stop)
    worker.run(service)


@cli.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    migrate_database(assemble().database)
    typer.echo("The schema is up to date.")


@keys.command("new")
def new() -> None:
    """Make a key: the caller keeps the first line, the settings get the second."""
    key, stored = new_key()
    typer.echo(f"key (show it to nobody but its user):  {key}")
    typer.echo(f"for CAPTURE_ORDER_KEYS, _EXPORT_KEYS or _READ_KEYS:  {stored}")


@cli.command()
def export(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and change nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Do the work here if no worker does, until it is done.")] = False,
    redeliver: Annotated[
        str, typer.Option(metavar="BATCH|stuck", help="Send a batch again instead, or all that wait for a person.")
    ] = "",
) -> None:
    """Start an export, as POST /exports does."""
    service = _usable()
    service.prepare()
    if redeliver:
        _redeliver(service, redeliver)
        return
    if dry_run:
        _show_plans(service)
        return
    asked = export_routes.request_export(service.database)
    if wait:
        with _progress("exporting", "batches") as step:
            asked = _finish(service, asked, step)
    with service.database.snapshot() as session:
        told = with_deadlines(session, service.settings, asked, service.clock())
    typer.echo(told.model_dump_json(indent=2))
    if asked.state == "failed":
        raise Failure(asked.failure or "The export failed.")


def _redeliver(service: Service, which: str) -> None:
    """Let batches be sent again, the same bytes under the same name, by whatever worker runs."""
    with service.database.transaction() as session:
        if which == "stuck":
            batch_ids = redeliver_all(session, service.settings)
        else:
            row, batch_ids = find_batch(session, which), [which]
            redeliver_one(session, service.settings, row.id, row.event_type)
    typer.echo(f"{len(batch_ids)} batches are sent again: {', '.join(batch_ids) or 'none waited for a person'}.")


def _show_plans(service: Service) -> None:
    """Print the files that an export would make now."""
    sent = left = by_calls = 0

    def room() -> int:
        return room_for_calls(service.database, service.settings, service.clock) - by_calls

    for plan in plans(service.database, service.settings, service.clock, room=room):
        sent, left = sent + len(plan.orders), left + len(plan.omissions)
        if plan.file:
            by_calls += _show_file(plan, f"{len(plan.orders)} orders")
        with service.database.snapshot() as session:
            orders = ledger.orders_of(session, [one.revision_id for one in plan.omissions])
        for one in plan.omissions:
            _, order_id = orders[one.revision_id]
            typer.echo(f"{plan.event_type}: order {order_id} {one.state} ({one.reason}): {one.detail}")
    amended, held, amended_by_calls = _show_corrections(service, by_calls)
    by_calls += amended_by_calls
    corrections = f", and {amended} corrections, {held} would be held" if amended or held else ""
    ways = f" ({by_calls} by calls of impact.com's API, {sent + amended - by_calls} by files)" if by_calls else ""
    typer.echo(f"{sent} orders would be sent, {left} would not{corrections}{ways}. Nothing was changed.")


def _show_file(plan: Plan | amend.Plan, size: str) -> int:
    """Print what a file would be, and return how many orders or corrections of it would go by calls."""
    rows, content = (plan.file.rows, plan.file.content) if plan.file else (0, b"")
    way = f", by {plan.channel}" if plan.channel else ""
    typer.echo(f"{plan.event_type}: {rows} rows, {size}, {len(content)} bytes{way}")
    return len(plan.orders) if plan.channel == HTTP_API else 0


def _show_corrections(service: Service, by_calls: int) -> tuple[int, int, int]:
    """Print the files of corrections, and return how many would leave, be held, and go by calls."""
    sent = held = called = 0

    def room() -> int:
        return room_for_calls(service.database, service.settings, service.clock) - by_calls - called

    for plan in amend.plans(service.database, service.settings, service.clock, room=room):
        sent, held = sent + len(plan.corrections), held + len(plan.holds)
        if plan.file:
            called += _show_file(plan, f"{len(plan.corrections)} corrections")
        with service.database.snapshot() as session:
            orders = corrections.orders_of(session, [one.correction_id for one in plan.holds])
        for one in plan.holds:
            _, order_id = orders[one.correction_id]
            typer.echo(f"{plan.event_type}: correction of order {order_id} held ({one.reason}): {one.detail}")
    return sent, held, called


def _finish(service: Service, asked: ExportView, step: Any) -> ExportView:
    """Work on an export until it is done and its batches were tried, whoever does it."""
    while True:
        with suppress(LeaseLost):  # then another worker ends it
            worker.work(service)
        if service.hold.reason:
            raise Failure(service.hold.reason)
        with service.database.snapshot() as session:
            now = find_export(session, asked.id)
            settled = is_settled(session, service.settings, now)
        step(len(now.batches))
        if settled:
            return now
        time.sleep(LOOK_EVERY_SECONDS)


@cli.command("purge")
def run_purge() -> None:
    """Delete what is older than the settings keep, in small steps, while the service goes on."""
    service, gone = _usable(), Counter[str]()
    service.prepare()
    with _progress("purging", "rows") as step:
        for what, number in everything(service, time.sleep):
            gone[what] += number
            step(gone.total())
    service.database.close()
    also = f", the content of {gone['files']} files and what is personal in {gone['orders']} orders were removed"
    more = also if gone["files"] or gone["orders"] else ""
    typer.echo(f"{gone['clicks']} clicks and {gone['alarms']} alarms were deleted{more}.")


@cli.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="A file of orders or of modifications, ours or made by hand.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    now: Annotated[str, typer.Option(help="Judge ages as of this time (ISO 8601 with offset).")] = "",
) -> None:
    """Say what impact.com would refuse in a file, line by line."""
    moment = parse_time(now) if now else datetime.now(UTC)
    if moment is None:
        raise typer.BadParameter("write it as 2026-11-20T18:00:22+01:00", param_hint="--now")
    if not sys.stdout.isatty():
        faulty = report(file, now=moment, as_json=as_json, out=sys.stdout, watched=_watched)
    elif as_json:
        faulty = report(file, now=moment, as_json=True, out=sys.stdout)
    else:  # the few lines for people come when the bar has left the terminal
        lines = io.StringIO()
        faulty = report(file, now=moment, as_json=False, out=lines, watched=_watched)
        typer.echo(lines.getvalue(), nl=False)
    if faulty:
        raise typer.Exit(1)


@cli.command("snippet")
def show_snippet(
    address: Annotated[
        str, typer.Argument(metavar="URL", help="Where pages reach the service: https://track.shop.example")
    ],
) -> None:
    """Print the script element for shop pages, as it is and pinned by `integrity`, and keep what is pinned for ever."""
    service = _usable()
    service.prepare()
    snippet, base = current_snippet(service.settings), address.rstrip("/")
    release(service.database, snippet, service.clock())
    typer.echo(f'<script async src="{base}/capture.js"></script>')
    typer.echo(
        f'<script async src="{base}/capture-{snippet.name}.js" integrity="{snippet.integrity}"'
        ' crossorigin="anonymous"></script>'
    )


@cli.command("openapi")
def show_openapi() -> None:
    """Print the OpenAPI document."""
    typer.echo(json.dumps(openapi(), indent=2, ensure_ascii=False))


def _usable() -> Service:
    """Return the assembled service, its schema checked if the database is there."""
    service = assemble()
    service.prepare_if_possible()
    return service


def _watched(content: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Show on a terminal how much of a file has been read."""
    console, size = Console(stderr=True), os.fstat(content.fileno()).st_size
    return wrap_file(
        content, size, description="checking", console=console, disable=not console.is_terminal, transient=True
    )


@contextmanager
def _progress(what: str, things: str) -> Iterator[Any]:
    """Show a progress bar on a terminal, and nothing in a pipe."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda number: progress.update(task, description=f"{what}: {number} {things}")


def main() -> None:
    """Run the command; a failure is one sentence on stderr and exit status 1."""
    logs.configure(logging.WARNING)  # commands say themselves what they did; `serve` and `worker` tell more
    try:
        cli()
    except Failure as failure:
        typer.echo(f"conversion-capture: {failure}", err=True)
        sys.exit(1)
