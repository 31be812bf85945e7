"""Whether a whole file is certainly right, seen at a glance: one pattern for an order with all its lines.

This finds nothing and refuses nothing; where it is not certain, `Check` must tell. It takes a fifth of the time, which
an export spends on every file. What the order's columns may hold is asked of the same rules as there.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Final

from app.check.findings import Finding
from app.check.header import ITEM_LEVEL, has_a_line_per_order, level_of, read_header
from app.check.records import MAX_LINE
from app.check.rows import credits_among, is_right, order_rules
from app.impact.columns import OPTIONAL_COLUMNS, Kind
from app.impact.currency import DECIMALS
from app.impact.limits import MAX_FILE_ROWS

_OTHER_TEXT: Final = r'[^\x00-\x1f\x7f-\x9f"]'
_PLAIN: Final = r'[^\x00-\x1f\x7f-\x9f",]'
_END: Final = "\r\n"
_MOST_COLUMNS: Final = MAX_LINE // 4 // max(one.max_length for one in OPTIONAL_COLUMNS.values())
"""So many make no line that is too long, whatever is in them."""


def looks_right(content: bytes, *, now: datetime) -> bool:
    """Say whether nothing at all is wrong with the file; it may be right even if this is not certain."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    header, _, first = text[:MAX_LINE].partition(_END)
    names, rows = header.split(","), text.count("\n") - 1
    found: list[Finding] = []
    layout = read_header(names, found)
    if not layout or found or not 0 < rows < MAX_FILE_ROWS:
        return False
    currency = layout["CurrencyCode"]
    decimals = DECIMALS.get(first.split(",", currency + 1)[currency]) if first.count(",") > currency else None
    if decimals is None or len(names) > _MOST_COLUMNS:
        return False
    pattern = _pattern(tuple(names), decimals)
    groups = list(zip(*pattern.findall(text, len(header) + len(_END)), strict=True))
    if any(groups[-1]):
        return False
    columns = {name: groups[number - 1] for name, number in pattern.groupindex.items()}
    return _are_right(columns, layout, decimals, now)


def _are_right(columns: Mapping[str, Sequence[str]], layout: Mapping[str, int], decimals: int, now: datetime) -> bool:
    """Say whether the orders are right, of which each of `columns` holds one value."""
    keys = set(zip(columns["ActionTrackerId"], columns["OrderId"], strict=True))
    if len(keys) < len(columns["OrderId"]) or {DECIMALS.get(code) for code in set(columns["CurrencyCode"])} != {
        decimals
    }:
        return False
    credited = [columns[name] for name in credits_among(layout)]
    if not any(map(all, credited)) and not all(map(any, zip(*credited, strict=True))):
        return False
    places = {name: place for place, name in enumerate(columns)}
    rules = order_rules(places, now, level_of(layout), with_media_id=False)
    return all(is_right(rule, columns[rule.name]) for rule in rules)


@lru_cache(maxsize=32)
def _pattern(names: tuple[str, ...], decimals: int) -> re.Pattern[str]:
    """Return the pattern of an order: a group for each of its columns, and the last one for all that is no order.

    What an order says of itself holds no quotes, and is the same in all of its lines.
    """
    first, again, number = [], [], 1
    for of_items, columns in groupby(names, ITEM_LEVEL.__contains__):
        if of_items:
            cells = [_item_cell(name, decimals) for name in columns]
            first += cells
            again += cells
        else:
            said = [f"(?P<{name}>{_PLAIN}*+)" for name in columns]
            first.append(f"({','.join(said)})")
            again.append(f"\\{number}")
            number += 1 + len(said)
    one_line = has_a_line_per_order({name: place for place, name in enumerate(names)})
    more = "" if one_line else f"(?:{','.join(again)}{_END})*+"
    return re.compile(rf"{','.join(first)}{_END}{more}|([\s\S]+)")


def _item_cell(name: str, decimals: int) -> str:
    """Return the pattern of an item's value that is certainly right."""
    match name:
        case "Amount":
            return r"[0-9]{1,12}+" + (rf"(?:\.[0-9]{{1,{decimals}}}+)?+" if decimals else "")
        case "Category":
            return rf'(?!"?+\s*+[",]){_text(255)}'
        case "Sku":
            return rf'(?!"?\s){_text(255)}(?<!\s)(?<!\s")'
        case "Quantity":
            return r"[1-9][0-9]{0,8}+"
        case _:
            parameter = OPTIONAL_COLUMNS[name]
            return rf"(?:{_text(parameter.max_length)})?" if parameter.kind is Kind.TEXT else ""


def _text(limit: int) -> str:
    """Return the pattern of a text of 1 to `limit` characters; one with many quotes may count as too long."""
    quotes = rf'{_OTHER_TEXT}{{0,{limit // 4}}}+(?:""{_OTHER_TEXT}{{0,{limit // 8}}}+){{1,4}}+'
    return rf'(?:{_PLAIN}{{1,{limit}}}+|"{_OTHER_TEXT}{{1,{limit}}}+"|"{quotes}")'
