"""What has left: the journal against the database, the channels, the batches that wait."""

from collections.abc import Iterator
from typing import Final

from app.delivery import journal_store
from app.delivery import store as deliveries
from app.delivery.attempt import IMPACT, next_pull
from app.delivery.channels import Probed
from app.delivery.journal import SETTING, Journal
from app.delivery.kept import Damaged, read_kept
from app.delivery.removal import NotMarked
from app.doctor.finding import Finding, Status
from app.errors import ChannelUnavailable, DeliveryError
from app.event_type import HTTP_API
from app.service import Service

SHOWN: Final = 5


def journal(service: Service) -> Iterator[Finding]:
    """See whether the database knows every file that may have left."""
    kept = service.hold.journal
    try:
        names, lost = kept.names(), service.hold.lost(service.database)
    except ChannelUnavailable as unreadable:
        yield Finding("journal", Status.FAILURE, str(unreadable), f"Give the service's account {kept.path}.")
        return
    with service.database.snapshot() as session:
        attempted = journal_store.newest_attempted(session, 1)
    if lost:
        yield Finding("journal", Status.FAILURE, _difference(kept, lost), _GO_ON)
    elif attempted and not names:
        repair = f"See that {SETTING} names the folder it always did, and that its volume is there."
        yield Finding("journal", Status.WARNING, f"{kept.path} is empty, though files have left.", repair)
    else:
        yield Finding("journal", Status.OK, f"The database knows all {len(names)} files that were kept.")


_GO_ON: Final = (
    "Nothing leaves until a person has decided. Restore a newer backup if there is one; else post the orders that came"
    " since the backup again, and run `conversion-capture recover --dry-run`, then without --dry-run. If this database"
    " is meant to begin anew, move the kept files away."
)


def _difference(kept: Journal, lost: list[str]) -> str:
    shown = "; ".join(_summary(kept, name) for name in lost[:SHOWN])
    more = f"; and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    return f"The database knows nothing of {len(lost)} of {len(kept.names())} kept files, newest first: {shown}{more}."


def _summary(kept: Journal, name: str) -> str:
    try:
        file = read_kept(name, *kept.look(name))
    except (Damaged, NotMarked):
        return f"{name} (damaged)"
    return f"{name} (kept {kept.kept_at(name):%Y-%m-%d %H:%M} UTC, {file.rows} rows of {len(file.first_lines)} orders)"


def channels(service: Service) -> Iterator[Finding]:
    """Tell what earlier attempts say of each channel in use."""
    with service.database.snapshot() as session:
        troubles = {row.channel: row for row in deliveries.troubles(session)}
    repair = "Set it right; then restart the worker, or run `conversion-capture export --redeliver stuck`."
    for name in [*service.channels, *([HTTP_API, IMPACT] if service.api else [])]:
        trouble = troubles.get(name)
        if trouble is None:
            yield Finding("channel", Status.OK, f"{name} is in use.")
        elif trouble.stopped_at is None:
            yield Finding("channel", Status.WARNING, f"{name}: {trouble.detail}", repair)
        else:
            yield Finding("channel", Status.FAILURE, f"{name} is used no more: {trouble.detail}", repair)


def probes(service: Service) -> Iterator[Finding]:
    """Try every channel in use, up to a file's first byte; each logs in once, and nothing is left anywhere."""
    for name, channel in service.channels.items():
        if not isinstance(channel, Probed):
            continue
        try:
            seen = channel.probe()
        except DeliveryError as error:
            status = Status.WARNING if isinstance(error, ChannelUnavailable) else Status.FAILURE
            repair = "Files wait meanwhile and leave by themselves once it is right."
            yield Finding("probe", status, f"{name}: {error}", repair)
        else:
            yield Finding("probe", Status.OK, f"{name}: {seen}; nothing was left there.")


def deliveries_that_wait(service: Service) -> Iterator[Finding]:
    """Name the batches that wait for a person."""
    with service.database.snapshot() as session:
        waiting = deliveries.waiting_for_a_person(session)
    if waiting:
        shown = ", ".join(f"{row.filename} ({row.stuck})" for row in waiting[:SHOWN])
        more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
        yield Finding("deliveries", Status.FAILURE, f"{len(waiting)} wait for a person: {shown}{more}.", _DECIDE)
    else:
        yield Finding("deliveries", Status.OK, "No batch waits for a person.")


_DECIDE: Final = (
    "Look for them in impact.com's File Submissions; confirm those that are there with POST /batches/{id}/confirmation,"
    " and send the others again with `conversion-capture export --redeliver BATCH`."
)


def pull(service: Service) -> Iterator[Finding]:
    """Tell when impact.com is next expected to fetch what lies in the folder."""
    if "folder" not in service.channels:
        return
    with service.database.snapshot() as session:
        left_at = deliveries.newest_delivery(session, "folder")
    if left_at is None:
        yield Finding("pull", Status.OK, "No file was left in the folder yet.")
        return
    expected = next_pull(left_at, service.settings.folder_pulled_at)
    detail = (
        f"The newest file was left on {left_at:%Y-%m-%d %H:%M} UTC; its pull is expected by {expected:%Y-%m-%d %H:%M}."
    )
    yield Finding("pull", Status.OK, detail)
