"""Works on what was submitted: files and calls alike go by the same rules into the ledger."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.sandbox import modifications
from app.sandbox.conversions import ALIASES, Line, judge
from app.sandbox.faults import Faults
from app.sandbox.ledger import Ledger
from app.sandbox.modifications import DELETE, Change, Wish
from app.sandbox.program import Program
from app.sandbox.reference import error_type
from app.sandbox.sheets import CONVERSION, MODIFICATION, Sheet, changes, orders, read
from app.sandbox.submissions import ApiSubmission, FileSubmission, Refusal

ITEM: Final = re.compile(r"Item(Sku|Category|Quantity|Price|SubTotal)([0-9]{1,4})", re.ASCII)
CHANGED: Final = re.compile(r"(Sku|Amount|Quantity|Category|ItemSubTotalDelta|Reason)([0-9]{0,4})", re.ASCII)


@dataclass
class Works:
    """The ledger, the rules of the account, and the faults that are planted."""

    program: Program
    ledger: Ledger
    faults: Faults

    # Files --------------------------------------------------------------------------------------------------------

    def work_on_file(self, file: FileSubmission, now: datetime) -> None:
        """Read a file and do what it says."""
        if not file.name.lower().endswith(".csv"):
            return  # Records shows 0; how an XML file is to look is not documented
        options = self.program.options
        first = 2 if options.lines_count_header else 1
        sheet = read(file.content, any_case=options.header_case == "any", first=first)
        file.records = len(sheet.rows)
        file.kind = sheet.kind or file.kind
        found = [_refusal(Line(row.number, row.fields, False), "", "MALFORMED") for row in sheet.rows if row.is_broken]
        if sheet.kind == CONVERSION:
            found += self._report(sheet, now)
        elif sheet.kind == MODIFICATION:
            found += self._change(sheet, now)
        else:
            whole = (row for row in sheet.rows if not row.is_broken)
            found += [_refusal(Line(row.number, row.fields, False), "", "MALFORMED") for row in whole]
        file.refusals = sorted(found, key=lambda one: one.line)

    def _report(self, sheet: Sheet, now: datetime) -> Iterator[Refusal]:
        for lines, is_apart in orders(sheet):
            planted = self.faults.rejections.get(lines[0].get("OrderId"))
            if planted or is_apart:
                told = [[planted or "OID_DUPLICATE"]] * len(lines)
            else:
                told = judge(lines, self.ledger, self.program, now)
            for line, reasons in zip(lines, told, strict=True):
                if reasons:
                    yield _refusal(line, line.get("MediaId"), reasons[0])

    def _change(self, sheet: Sheet, now: datetime) -> Iterator[Refusal]:
        for change in changes(sheet):
            action = modifications.find(change, self.ledger)
            campaign, partner = (action.campaign_id, action.partner_id) if action else ("", "")
            oid, tracker = (action.oid, action.tracker_id) if action else (change.oid, change.tracker_id)
            for wish, reason in zip(change.wishes, self._applied(change, now), strict=True):
                if reason:
                    ids = (oid, wish.sku, wish.category, campaign, tracker, partner)
                    yield Refusal(wish.number, *ids, error_type(reason), reason)

    def _applied(self, change: Change, now: datetime) -> list[str]:
        action = modifications.find(change, self.ledger)
        planted = self.faults.rejections.get(action.oid if action else change.oid)
        if planted:
            return [planted] * len(change.wishes)
        return modifications.apply(change, self.ledger, self.program, now)

    # Calls --------------------------------------------------------------------------------------------------------

    def work_on_call(self, call: ApiSubmission, now: datetime) -> None:
        """Do what a call of the API said."""
        if call.kind == CONVERSION:
            call.reasons = self._report_one(call, now)
        else:
            change = change_of(call.fields, call.place)
            if action := modifications.find(change, self.ledger):
                call.action_id = action.id
            call.reasons = list(dict.fromkeys(filter(None, self._applied(change, now))))

    def _report_one(self, call: ApiSubmission, now: datetime) -> list[str]:
        planted = self.faults.rejections.get(call.fields.get("OrderId", ""))
        if planted:
            return [planted]
        lines = lines_of(call.fields)
        reasons = judge(lines, self.ledger, self.program, now) if lines else [["NO_ITEM"]]
        return list(dict.fromkeys(reason for line in reasons for reason in line))


def lines_of(fields: Mapping[str, str]) -> list[Line]:
    """Return the items of a call, or the order as one line if it has an amount and no items."""
    order = {ALIASES.get(name, name): value for name, value in fields.items() if not ITEM.fullmatch(name)}
    amount = order.pop("Amount", "") or order.get("OrderSubTotalPostDiscount", "")
    items: dict[int, dict[str, str]] = {}
    for name, value in fields.items():
        if match := ITEM.fullmatch(name):
            column = {"Price": "ItemPrice", "SubTotal": "ItemSubtotal"}.get(match[1], match[1])
            items.setdefault(int(match[2]), {})[column] = value
    if items:
        return [Line(number, order | item, is_item=True) for number, item in sorted(items.items())]
    return [Line(1, order | {"Amount": amount}, is_item=False)] if amount else []


def change_of(fields: Mapping[str, str], place: str) -> Change:
    """Return what a call of Actions wants; several items are numbered from the second on."""
    parts: dict[int, dict[str, str]] = {}
    for name, value in fields.items():
        if match := CHANGED.fullmatch(name):
            parts.setdefault(int(match[2] or 1), {})[match[1]] = value
    reason = fields.get("Reason") or fields.get("DispositionCode", "")
    wishes = [
        Wish(
            number,
            part.get("Reason") or reason,
            part.get("Sku", ""),
            "0" if place == DELETE else part.get("Amount", ""),
            part.get("Quantity", ""),
            part.get("Category", ""),
            part.get("ItemSubTotalDelta", ""),
        )
        for number, part in sorted(parts.items())
    ]
    return Change(
        fields.get("ActionId", ""),
        fields.get("ActionTrackerId") or fields.get("EventTypeId", ""),
        fields.get("OrderId") or fields.get("Oid", ""),
        wishes or [Wish(1, reason, amount="0" if place == DELETE else "")],
        place,
        fields.get("CurrencyCode", ""),
        fields.get("CustomerStatus", ""),
    )


def _refusal(line: Line, partner: str, reason: str) -> Refusal:
    return Refusal(
        line.number,
        line.get("OrderId"),
        line.get("Sku"),
        line.get("Category"),
        line.get("CampaignId"),
        line.get("ActionTrackerId"),
        partner,
        error_type(reason),
        reason,
    )
