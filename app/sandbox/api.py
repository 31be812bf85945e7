"""The calls of impact.com's HTTP API for brands that have to do with conversions."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from app.sandbox.conversions import CREDITING
from app.sandbox.desk import Desk
from app.sandbox.ledger import Action
from app.sandbox.modifications import DELETE, PUT
from app.sandbox.paging import Sizes, between, lies_in, moment, page
from app.sandbox.submissions import KEPT, FileSubmission
from app.sandbox.views import action_view, call_view, file_view, item_view, refusal_view, update_view
from app.sandbox.wire import Refused, Request, bad
from app.sandbox.work import ITEM

LONGEST_SPAN: Final = timedelta(days=45)
OLDEST: Final = timedelta(days=3 * 365 + 1)
USUAL_SPAN: Final = timedelta(days=7)
MOST_PAGES: Final = 10

_EVENT_TYPE: Final = ("ActionTrackerId", "EventTypeId", "EventTypeCode")
_HASH: Final = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")

# Conversions ------------------------------------------------------------------------------------------------------


def report(desk: Desk, request: Request) -> dict[str, Any]:
    """Take a conversion; what it holds is looked at later. Raises Refused if something that must be there is not."""
    given = request.given
    wrong = [(name, text) for name, text, is_wrong in _missing(given) if is_wrong]
    if wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, "The conversion is not complete.", wrong)
    return _queued(desk, request, "Conversion", "POST")


def _missing(given: dict[str, str]) -> list[tuple[str, str, bool]]:
    def has(*names: str) -> bool:
        return any(given.get(name) for name in names)

    items = [name for name in given if ITEM.fullmatch(name)]
    money = has("Amount", "OrderSubTotalPostDiscount") or any("Price" in one or "Total" in one for one in items)
    both = [one for one in items if one.startswith("ItemPrice") and given.get(one.replace("Price", "SubTotal"))]
    credit = (*CREDITING, "CustomerId", "PromoCode", "OrderPromoCode", "MediaId", "MediaPartnerId")
    email = given.get("CustomerEmail", "")
    return [
        ("CampaignId", "is required", not has("CampaignId")),
        ("EventDate", "is required", not has("EventDate")),
        ("OrderId", "is required", not has("OrderId", "Oid")),
        ("ActionTrackerId", "or another name of the event type is required", not has(*_EVENT_TYPE)),
        ("ClickId", "or another key that credits a partner is required", not has(*credit)),
        ("MediaId", "and MediaPartnerId exclude each other", has("MediaId") and has("MediaPartnerId")),
        ("CurrencyCode", "is required with money", money and not has("CurrencyCode", "Currency")),
        (both[0] if both else "", "excludes ItemSubTotal of the same item", bool(both)),
        ("CustomerEmail", "must be a SHA-1 or SHA-256 hash", bool(email) and not _HASH.fullmatch(email)),
    ]


# Actions ----------------------------------------------------------------------------------------------------------


def change(desk: Desk, request: Request) -> dict[str, Any]:
    """Take a modification. Raises Refused."""
    _named(request)
    if not (request.given.get("Reason") or request.given.get("DispositionCode")):
        raise bad("Reason", "is required")
    return _queued(desk, request, "Modification", PUT)


def reverse(desk: Desk, request: Request) -> dict[str, Any]:
    """Take a reversal. Raises Refused."""
    _named(request)
    if not request.given.get("DispositionCode"):
        raise bad("DispositionCode", "is required")
    return _queued(desk, request, "Reversal", DELETE)


def _named(request: Request) -> None:
    given = request.given
    order = given.get("OrderId") or given.get("Oid")
    if not (given.get("ActionId") or (order and (given.get("ActionTrackerId") or given.get("EventTypeId")))):
        raise bad("ActionId", "or ActionTrackerId and OrderId are required")


def actions(desk: Desk, request: Request) -> dict[str, Any]:
    """List actions by the time of their last update, which a state alone that changes is none of."""
    now, campaign = desk.now(), _campaign(request)
    by_event, by_lock = between(request, "ActionDate"), between(request, "LockingDate")
    span = _span(request, now, is_limited=by_event == by_lock == (None, None))
    state = request.query.get("State", "").upper()
    found = [
        one
        for one in desk.ledger.actions.values()
        if one.campaign_id == campaign
        and lies_in(one.updated_at, span)
        and lies_in(one.event_date, by_event)
        and lies_in(one.locks_at, by_lock)
        and state in {"", one.state(now)}
    ]
    return page(request, "Actions", [_shown(desk, request, one) for one in found], _action_sizes(desk))


def action(desk: Desk, request: Request, action_id: str) -> dict[str, Any]:
    """Show one action."""
    return _shown(desk, request, _action(desk, action_id))


def items(desk: Desk, request: Request, action_id: str) -> dict[str, Any]:
    """List the items of an action."""
    found = _action(desk, action_id)
    rows = [item_view(one, found, desk.options) for one in found.items if one.sku]
    return page(request, "Items", rows, Sizes(desk.options.page_size))


def item(desk: Desk, _request: Request, action_id: str, sku: str) -> dict[str, Any]:
    """Show one item of an action."""
    found = _action(desk, action_id)
    one = next((one for one in found.items if one.sku == sku), None)
    if one is None or not sku:
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such item.")
    return item_view(one, found, desk.options)


def updates(desk: Desk, request: Request) -> dict[str, Any]:
    """List what was changed of actions."""
    campaign, span = _campaign(request), _span(request, desk.now(), is_limited=True)
    found = [one for one in desk.ledger.updates if one.action.campaign_id == campaign and lies_in(one.at, span)]
    return page(request, "ActionUpdates", [update_view(one) for one in found], _action_sizes(desk))


def _action(desk: Desk, action_id: str) -> Action:
    found = desk.ledger.actions.get(action_id)
    if found is None:
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such action.")
    return found


def _shown(desk: Desk, request: Request, one: Action) -> dict[str, Any]:
    return action_view(one, request.account, desk.options, desk.now())


def _action_sizes(desk: Desk) -> Sizes:
    options = desk.options
    return Sizes(max(options.page_size, options.min_page_size), options.min_page_size, MOST_PAGES)


def _campaign(request: Request) -> str:
    campaign = request.query.get("CampaignId", "")
    if not campaign:
        raise bad("CampaignId", "is required")
    return campaign


def _span(request: Request, now: datetime, *, is_limited: bool) -> tuple[datetime | None, datetime | None]:
    """Return StartDate and EndDate by impact.com's rules; without them the last days, if nothing else limits."""
    start, end = moment(request, "StartDate"), moment(request, "EndDate")
    if start is None and end is None:
        return (now - USUAL_SPAN, now) if is_limited else (None, None)
    if start is None or end is None:
        raise bad("StartDate", "and EndDate go together: give both or none")
    if end < start or end - start > LONGEST_SPAN:
        raise bad("EndDate", f"is at most {LONGEST_SPAN.days} days after StartDate, and not before it")
    if start < now - OLDEST:
        raise bad("StartDate", "is at most 3 years back")
    return start, end


# Submissions ------------------------------------------------------------------------------------------------------


def calls(desk: Desk, request: Request) -> dict[str, Any]:
    """List API submissions, which impact.com advises against."""
    now = desk.now()
    kept = [one for one in desk.calls.values() if now - one.submitted_at <= KEPT]
    rows = [call_view(one, request.account, now) for one in kept]
    return page(request, "APISubmission", rows, Sizes(desk.options.page_size))


def call(desk: Desk, request: Request, batch_id: str) -> dict[str, Any]:
    """Show one API submission."""
    now, found = desk.now(), desk.calls.get(batch_id)
    if found is None or now - found.submitted_at > KEPT:
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such submission.")
    return call_view(found, request.account, now)


def files(desk: Desk, request: Request) -> dict[str, Any]:
    """List files by when they were submitted or completed."""
    now = desk.now()
    sent, done = between(request, "SubmissionDate"), between(request, "CompletedDate")
    rows = [
        file_view(one, request.account, desk.options, now)
        for one in desk.files.values()
        if now - one.submitted_at <= KEPT
        and lies_in(one.submitted_at, sent)
        and lies_in(one.ready_at if one.is_done else None, done)
    ]
    return page(request, desk.options.file_rows_key, rows, Sizes(desk.options.page_size))


def file(desk: Desk, request: Request, batch_id: str) -> dict[str, Any]:
    """Show one file."""
    return file_view(_file(desk, batch_id), request.account, desk.options, desk.now())


def errors(desk: Desk, request: Request, batch_id: str) -> dict[str, Any]:
    """List the lines of a file that were refused."""
    rows = [refusal_view(one) for one in _file(desk, batch_id).refusals]
    return page(request, "ErrorDetail", rows, Sizes(desk.options.page_size))


def _file(desk: Desk, batch_id: str) -> FileSubmission:
    now, found = desk.now(), desk.files.get(batch_id)
    if found is None or now - found.submitted_at > KEPT:
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such submission.")
    return found


def _queued(desk: Desk, request: Request, kind: str, place: str) -> dict[str, Any]:
    queued = desk.queue(kind, place, request.given, request.payload)
    return {"Status": "QUEUED", "QueuedUri": f"/Advertisers/{request.account}/APISubmissions/{queued.id}"}


# Routes -----------------------------------------------------------------------------------------------------------


class Route(NamedTuple):
    """A call: its path, the scope that it needs, and what answers each method."""

    path: re.Pattern[str]
    scope: str
    methods: dict[str, Callable[..., dict[str, Any]]]


ROUTES: Final[Sequence[Route]] = (
    Route(re.compile("Conversions"), "Conversions", {"POST": report}),
    Route(re.compile("Actions"), "Actions", {"GET": actions, "PUT": change, "DELETE": reverse}),
    Route(re.compile("Actions/([^/]+)"), "Actions", {"GET": action}),
    Route(re.compile("Actions/([^/]+)/Items"), "Actions", {"GET": items}),
    Route(re.compile("Actions/([^/]+)/Items/([^/]+)"), "Actions", {"GET": item}),
    Route(re.compile("ActionUpdates"), "Actions", {"GET": updates}),
    Route(re.compile("APISubmissions"), "Submissions", {"GET": calls}),
    Route(re.compile("APISubmissions/([^/]+)"), "Submissions", {"GET": call}),
    Route(re.compile("FTPFileSubmissions"), "Submissions", {"GET": files}),
    Route(re.compile("FTPFileSubmissions/([^/]+)"), "Submissions", {"GET": file}),
    Route(re.compile("FTPFileSubmissions/([^/]+)/ErrorDetails"), "Submissions", {"GET": errors}),
    Route(re.compile("FTPSubmissions/([^/]+)/Errors"), "Submissions", {"GET": errors}),
)
