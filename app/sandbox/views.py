"""How actions, updates and submissions look in the answers of the API."""

from datetime import datetime
from typing import Any

from app.sandbox.ledger import APPROVED, Action, Item, Update
from app.sandbox.money import as_decimal, percentage
from app.sandbox.options import Options
from app.sandbox.reference import error_type
from app.sandbox.submissions import ApiSubmission, FileSubmission, Refusal


def action_view(action: Action, account: str, options: Options, now: datetime) -> dict[str, Any]:
    """Show an action."""
    state = action.state(now)
    return {
        "Id": action.id,
        "CampaignId": int(action.campaign_id),
        "ActionTrackerId": int(action.tracker_id),
        "EventCode": action.said.get("EventCode", ""),
        "State": state,
        "MediaPartnerId": action.partner_id,
        "Oid": action.oid,
        "Amount": as_decimal(action.amount, action.currency),
        "Payout": as_decimal(percentage(action.amount, options.payout_percent), action.currency),
        "Currency": action.currency,
        "EventDate": action.event_date,
        "CreationDate": action.created_at,
        "LockingDate": action.locks_at,
        "ClearedDate": "",
        "ReferringDate": action.event_date,
        "CustomerStatus": action.said.get("CustomerStatus", ""),
        "PromoCode": action.said.get("PromoCode", ""),
        "SharedId": action.said.get("SharedId", ""),
        "StateDetail": "LOCKED" if state == APPROVED else "",
        "Uri": f"/Advertisers/{account}/Actions/{action.id}",
    }


def item_view(item: Item, action: Action, options: Options) -> dict[str, Any]:
    """Show an item of an action."""
    return {
        "Sku": item.sku,
        "Category": item.category,
        "Quantity": item.quantity,
        "Amount": as_decimal(item.amount, action.currency),
        "Payout": as_decimal(percentage(item.amount, options.payout_percent), action.currency),
    }


def update_view(update: Update) -> dict[str, Any]:
    """Show a change."""
    action = update.action
    return {
        "Id": update.id,
        "ActionId": action.id,
        "CampaignId": int(action.campaign_id),
        "ActionTrackerId": int(action.tracker_id),
        "Oid": action.oid,
        "State": update.state,
        "StateDetail": update.reason,
        "Disposition": update.reason,
        "DeltaAmount": as_decimal(update.delta_amount, action.currency),
        "DeltaPayout": as_decimal(update.delta_payout, action.currency),
        "Sku": update.sku,
        "Quantity": update.quantity,
        "UpdateDate": update.at,
        "LockingDate": action.locks_at,
    }


def call_view(call: ApiSubmission, account: str, now: datetime) -> dict[str, Any]:
    """Show an API submission, with the fields of impact.com's object of that name."""
    get = call.fields.get
    return {
        "BatchId": call.id,
        "AccountId": account,
        "SubmissionDate": call.submitted_at,
        "CampaignId": get("CampaignId", ""),
        "ActionTrackerId": get("ActionTrackerId") or get("EventTypeId", ""),
        "MediaPartnerId": get("MediaPartnerId") or get("MediaId", ""),
        "EventCode": get("EventCode", ""),
        "OrderId": get("OrderId") or get("Oid", ""),
        "Payload": call.payload,
        "Type": call.kind,
        "Status": call.status(now),
        "CompletionDate": call.ready_at if call.is_done else "",
        "ErrorType": error_type(call.reasons[0]) if call.reasons else "",
        "ErrorReason": " ".join(call.reasons),
        "Uri": f"/Advertisers/{account}/APISubmissions/{call.id}",
    }


def file_view(file: FileSubmission, account: str, options: Options, now: datetime) -> dict[str, Any]:
    """Show a file submission."""
    base = f"/Advertisers/{account}"
    errors = {
        "ErrorDetails": f"{base}/FTPFileSubmissions/{file.id}/ErrorDetails",
        "Errors": f"{base}/FTPSubmissions/{file.id}/Errors",
    }
    return {
        "BatchId": file.id,
        "AccountId": account,
        "FileName": file.name,
        "Type": file.kind,
        "Status": file.status(now),
        "SubmissionDate": file.submitted_at,
        "CompletionDate": file.ready_at if file.is_done else "",
        "TotalRecords": file.records,
        "TotalErrors": len(file.refusals),
        "ErrorsUri": errors[options.errors_uri],
        "Uri": f"{base}/FTPFileSubmissions/{file.id}",
    }


def refusal_view(refusal: Refusal) -> dict[str, Any]:
    """Show a line that was refused."""
    return {
        "Line": refusal.line,
        "OrderId": refusal.order_id,
        "Sku": refusal.sku,
        "Category": refusal.category,
        "CampaignId": refusal.campaign_id,
        "ActionTrackerId": refusal.tracker_id,
        "MediaPartnerId": refusal.partner_id,
        "Status": refusal.kind,
        "Reason": refusal.reason,
    }
