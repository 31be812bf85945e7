"""What comes to its end soon, and what to do about it."""

from collections.abc import Iterator

from app.doctor.finding import Finding, Status
from app.ledger import deadlines as ledger
from app.ledger.deadlines import Deadlines
from app.service import Service


def deadlines(service: Service) -> Iterator[Finding]:
    """Name what will be too late within CAPTURE_DEADLINE_DAYS."""
    with service.database.snapshot() as session:
        ends = ledger.deadlines(session, service.settings, service.clock())
    warnings = [Finding("deadlines", Status.WARNING, *one) for one in _told(ends)]
    yield from warnings or [Finding("deadlines", Status.OK, f"Nothing ends within {ends.within_days} days.")]


def _told(ends: Deadlines) -> Iterator[tuple[str, str]]:
    """Yield what is found, and the repair."""
    if ends.orders_expiring:
        what = f"orders will be too old for impact.com, the first at {ends.first_order_expires_at}"
        repair = "Run `conversion-capture export`, and see in GET /batches that what it makes is delivered before."
        yield f"{ends.orders_expiring} {what}.", repair
    if ends.held_orders_expiring:
        what = f"held orders will be too old for impact.com, the first at {ends.first_held_order_expires_at}"
        repair = "List them with GET /orders?state=held, and release them by PUT /orders/{order_id}/attribution."
        yield f"{ends.held_orders_expiring} {what}.", repair
    if ends.corrections_locking:
        what = f"corrections wait, and impact.com locks their actions, the first at {ends.first_correction_locks_at}"
        repair = "Run `conversion-capture export`; what is locked already can only be settled with the partner."
        yield f"{ends.corrections_locking} {what}.", repair
    if ends.actions_near_limit:
        what = "orders have nearly the 1,000 modifications that impact.com takes of one action"
        repair = "Let corrections of an order gather: those made before one export leave as one."
        yield f"{ends.actions_near_limit} {what}.", repair
