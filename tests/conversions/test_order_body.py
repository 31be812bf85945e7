"""A body is read quickly where that is safe, and never otherwise than it is read with care."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.conversions.order_body import Rules, read_carefully, read_order
from app.errors import InvalidInput
from app.event_type import EventType
from app.strict_json import parse, plain
from tests.support import NOW

TYPES = {
    "default": EventType(campaign_id=1, action_tracker_id=2),
    "b2b": EventType(campaign_id=1, action_tracker_id=3, level="chained"),
    "app": EventType(campaign_id=1, action_tracker_id=4, level="mobile"),
}
RULES = Rules({"default": None, "b2b": "EUR", "app": None}, max_items=4, sku_max_length=20, event_types=TYPES)
STRICT = Rules({"default": "JPY"}, max_items=1, sku_max_length=3, net_amounts=True)

TEXTS = st.one_of(
    st.text(max_size=24),
    st.text(st.characters(max_codepoint=255), max_size=8),
    st.sampled_from(
        ["", " ", "\xa0", "\u2028", "x" * 64, "x" * 65, "é" * 255, "x" * 256, "a@b.c", 'q"', "back\\", "-0", " -0"]
    ),
    st.sampled_from(["\x7f", "\x85", "\x1f", "\ud800", "😀", "ﬀ", "a\u200b", "\ufeff"]),
)
NUMBERS = st.one_of(
    st.integers(-2, 10**13).map(str),
    st.decimals(0, 10**6, places=2).map(str),
    st.sampled_from(
        ["-0", "-0.0", "0", "0.0", "0.1", "1e2", "1E-2", "12.345", "1e400", "NaN", "-Infinity", "00", "1."]
    ),
    st.sampled_from([str(2**31 - 1), str(2**31), str(2**63), str(2**64 - 1), str(2**64), "9" * 19, "9" * 20, "9" * 40]),
)
SCALARS = st.one_of(TEXTS.map(json.dumps), TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)), NUMBERS)
ANYTHING = st.one_of(SCALARS, st.sampled_from(["null", "true", "[]", "{}", "[[1.5]]", '{"a":-0}', '{"a":1,"a":1}']))


def mostly(usual: st.SearchStrategy[str], other: st.SearchStrategy[str], odds: int = 20) -> st.SearchStrategy[str]:
    """Return the usual thing, and the other one once in so many times."""
    return st.integers(1, odds).flatmap(lambda chance: other if chance == odds else usual)


WHEN = mostly(
    st.sampled_from([(NOW - timedelta(hours=1)).isoformat(), "2026-09-05T08:00:00-05:00", "2026-09-05T08:00:00.25Z"]),
    st.sampled_from(["2026-09-05", "2027-01-01T00:00:00Z", "-0"]),
).map(json.dumps)
BLANKS = st.sampled_from(["", "", "", " ", "\n\t"])


@st.composite
def written(draw: st.DrawFn, members: list[tuple[str, str]]) -> str:
    """Return an object's members as JSON, in any order and spacing, once in a while with a key twice or escaped."""
    members = draw(st.permutations(members))
    if members and draw(st.integers(1, 30)) == 30:
        members = [*members, draw(st.sampled_from(members))]
    gap = draw(BLANKS)
    keys = [
        draw(mostly(st.just(f'"{name}"'), st.just(f'"\\u{ord(name[0]):04x}{name[1:]}"'), 60)) for name, _ in members
    ]
    pairs = [f"{key}{gap}:{gap}{value}" for key, (_, value) in zip(keys, members, strict=True)]
    return "{" + f"{gap},{gap}".join(pairs) + "}"


@st.composite
def objects(
    draw: st.DrawFn, fields: dict[str, st.SearchStrategy[str]], optional: dict[str, st.SearchStrategy[str]]
) -> str:
    """Return an object with these fields: each as it should be, now and then anything at all, missing or unknown."""
    chosen = fields | {name: one for name, one in optional.items() if draw(st.booleans())}
    members = [(name, draw(mostly(one, ANYTHING, 60))) for name, one in chosen.items()]
    if members and draw(st.integers(1, 60)) == 60:
        members.pop()
    if draw(st.integers(1, 60)) == 60:
        members.append((draw(st.sampled_from(["colour", "\x7f", "Note", "a\u200b"])), draw(ANYTHING)))
    return draw(written(members))


WORDS = mostly(
    st.sampled_from(["Tools", "Größe", "SKU-0", "a: 5", "A, 1.5", "x/y"]).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
    TEXTS.map(json.dumps),
)
AMOUNTS = mostly(
    st.decimals(0, 10**6, places=2).map(lambda one: f'"{one}"') | st.integers(0, 999).map(str),
    NUMBERS | NUMBERS.map(json.dumps),
)
EXTRA = {
    "EventCode": WORDS,
    "Note": WORDS,
    "OrderTax": AMOUNTS,
    "CustomerEmail": mostly(st.just(f'"{"a" * 64}"'), st.just('"a@b.example"'), 5),
    "GiftPurchase": st.sampled_from(["true", '"true"']),
    "Date1": WHEN,
}
ITEM = {"sku": WORDS, "category": WORDS, "quantity": st.integers(1, 9).map(str), "amount": AMOUNTS}
ITEMS = objects(ITEM, {"extra": objects({}, {"Name": WORDS, "ItemDiscount": AMOUNTS})})
ORDERS = objects(
    {
        "order_id": WORDS,
        "event_date": WHEN,
        "items": st.lists(ITEMS, min_size=1, max_size=4).map(lambda several: f"[{','.join(several)}]"),
        "currency": mostly(st.sampled_from(['"USD"', '"EUR"']), st.sampled_from(['"JPY"', '"TND"', "null", '"usd"'])),
    },
    {
        "event_type": mostly(st.sampled_from(['"default"', '"b2b"', '"app"']), st.just('"nobody"')),
        "click_id": mostly(
            st.sampled_from(['"QiiWXOVnrQ3SQ"', "null"]),
            st.sampled_from(['"no spaces"', '"x\\n"', '"' + "x" * 65 + '"']),
        ),
        "promo_code": WORDS,
        "media_id": mostly(st.sampled_from(["77", '"77"', "null", "9" * 19]), st.sampled_from(["0", "9" * 20, "1.0"])),
        "customer_id": WORDS,
        "customer_status": WORDS,
        "extra": objects({}, EXTRA),
        "customer_email": mostly(st.sampled_from(['"a@b.example"', "null"]), st.sampled_from(['"a@b"', '" "', "7"]), 5),
        "parent": mostly(
            st.just("null"), objects({"order_id": WORDS}, {"event_type": st.sampled_from(['"b2b"', '"app"'])}), 4
        ),
    },
)
FINE = '{"order_id":"A","currency":"USD","event_date":"2026-09-05T08:00:00Z","items":[{"sku":"S","category":"c",%s}]}'


def said(reader: Any, body: bytes, rules: Rules) -> str:
    """Return all that a reader makes of a body: the order with its types and offsets, or every fault."""
    try:
        return repr(reader(body, rules, NOW))
    except InvalidInput as refusal:
        return repr(refusal.faults)


@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(ORDERS, st.sampled_from([RULES, STRICT]))
@example(FINE % '"quantity":1,"amount":-0', RULES)
@example(FINE % '"quantity":1,"amount": -0', RULES)
@example(FINE % '"quantity":1,"amount":0.1', RULES)
@example(FINE % '"quantity":1,"amount":"1","amount":"1"', RULES)
@example(FINE % '"quantity":1,"amount":18446744073709551615', RULES)
@example(FINE % '"quantity":1,"amount":"1","extra":{"ItemDiscount":-0}', RULES)
@example(FINE % '"quantity":1,"amount":"1","extra":{"Name":"\x7f"}', RULES)
@example(FINE % '"quantity":1,"amount":"1","extra":{"Name":"\x85"}', RULES)
def test_the_quick_reading_says_what_the_careful_one_says(text: str, rules: Rules) -> None:
    """Whatever a body is like, it is the same order or has the same faults."""
    body = text.encode("utf-8", "surrogatepass")
    assert said(read_order, body, rules) == said(read_carefully, body, rules)


@settings(max_examples=500)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode), st.sampled_from([b"", b"{", b'{"a":', b'{"a":[']))
def test_what_is_no_order_is_none_for_both(noise: bytes, beginning: bytes) -> None:
    """Bytes that are no JSON, or no order, are refused with the same words."""
    for body in (beginning + noise, beginning + noise + b"]}", beginning + noise + b"}"):
        assert said(read_order, body, RULES) == said(read_carefully, body, RULES)


def test_an_ordinary_body_is_read_quickly() -> None:
    """What shops write, accents and line breaks between fields too, does not take the long way."""
    for gap in ("", " ", "\n  "):
        body = f'{{{gap}"order_id":{gap}"SKU-0 é 2026-09-05",{gap}"amount":{gap}"-0.5",{gap}"items":{gap}[{gap}0]}}'
        assert plain(body.encode()) == parse(body.encode())[0]


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'{"a":-0}', b'{"a": -0.0}', b'{"a":[1,-0]}', b'{"a":[-0]}'),
        *(b'{"a":"\x7f"}', b'{"a\x7f":1}', b'{"a":"\xc2\x80"}', b'{"a":"\\u0000"}', b'{"a":"\\n"}', b'{"a":"\\""}'),
        *(b'{"a":"\xed\xa0\x80"}', b'{"a":NaN}', b"[]", b"", b"{", b"\xef\xbb\xbf{}"),
        b'{"a":' * 600 + b"1" + b"}" * 600,
    ],
)
def test_what_only_its_text_shows_is_left_to_the_careful_reading(body: bytes) -> None:
    """A key that came twice, minus nought, control characters: none of them is in the value any more."""
    assert plain(body) is None
