"""All that the sandbox knows, as JSON."""

from typing import Any

from app.sandbox.desk import Desk
from app.sandbox.ledger import Action
from app.sandbox.money import as_decimal, percentage
from app.sandbox.submissions import FileSubmission
from app.sandbox.views import refusal_view


def state(desk: Desk) -> dict[str, Any]:
    """Return actions, files, submissions and the number of calls in each minute; amounts are texts, to the cent."""
    now, percent = desk.now(), desk.options.payout_percent
    return {
        "now": now.isoformat(),
        "actions": [_action(one, one.state(now), percent) for one in desk.ledger.actions.values()],
        "updates": len(desk.ledger.updates),
        "files": [_file(one, one.status(now)) for one in desk.files.values()],
        "lost_files": list(desk.lost),
        "ignored_files": list(desk.ignored),
        "submissions": [
            {
                "id": one.id,
                "type": one.kind,
                "status": one.status(now),
                "order_id": one.fields.get("OrderId", ""),
                "action_id": one.action_id,
                "reasons": one.reasons,
                "submitted_at": one.submitted_at.isoformat(),
            }
            for one in desk.calls.values()
        ],
        "calls_per_minute": dict(desk.minutes),
    }


def _action(action: Action, is_now: str, percent: int) -> dict[str, Any]:
    def money(units: int) -> str:
        return str(as_decimal(units, action.currency))

    return {
        "id": action.id,
        "campaign_id": action.campaign_id,
        "action_tracker_id": action.tracker_id,
        "order_id": action.oid,
        "state": is_now,
        "currency": action.currency,
        "amount": money(action.amount),
        "payout": money(percentage(action.amount, percent)),
        "media_partner_id": action.partner_id,
        "customer_id": action.customer_id,
        "event_date": action.event_date.isoformat(),
        "created_at": action.created_at.isoformat(),
        "locks_at": action.locks_at.isoformat(),
        "modifications": action.modifications,
        "items": [
            {"sku": one.sku, "category": one.category, "quantity": one.quantity, "amount": money(one.amount)}
            for one in action.items
        ],
    }


def _file(file: FileSubmission, status: str) -> dict[str, Any]:
    return {
        "id": file.id,
        "name": file.name,
        "source": file.source,
        "type": file.kind,
        "status": status,
        "submitted_at": file.submitted_at.isoformat(),
        "records": file.records,
        "rows": file.content.decode("utf-8", "replace").splitlines(),
        "errors": [refusal_view(one) for one in file.refusals],
    }
