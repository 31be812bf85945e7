"""Reading a call: the query and the body, exactly as sent."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.click import ClickId
from app.clicks.landing import MAX_BODY, Landing, from_body, from_query, parse_query
from app.errors import MalformedRequest, TooLarge, WrongMediaType
from app.impact.limits import CLICK_ID

NAMES = ("im_ref", "irclickid")
IDS = st.from_regex(CLICK_ID, fullmatch=True)


def body(**values: Any) -> bytes:
    """Return values as JSON."""
    return json.dumps(values).encode()


@given(IDS)
def test_an_encoded_id_is_decoded_once(click_id: str) -> None:
    """A shop that encodes the query properly gets its id back, byte for byte."""
    assert from_query(f"im_ref={quote(click_id, safe='')}".encode(), NAMES).click_id == click_id


@given(IDS.filter(lambda one: "%" not in one))
def test_a_bare_id_stays_as_it_is(click_id: str) -> None:
    """Also without any encoding a plus stays a plus and an equals sign stays one."""
    assert from_query(f"x=1&im_ref={click_id}&y=2".encode(), NAMES).click_id == click_id


@given(IDS)
def test_an_id_survives_json(click_id: str) -> None:
    """Nothing is decoded in JSON."""
    assert from_body("text/plain", body(im_ref=click_id), NAMES).click_id == click_id


@pytest.mark.parametrize(
    ("query", "click_id"),
    [
        (b"im_ref=a+b", "a+b"),
        (b"im_ref=a%2Bb", "a+b"),
        (b"im_ref=a%253Ab", "a%3Ab"),
        (b"im_ref=a%zzb", "a%zzb"),
        (b"im_ref=a%", "a%"),
        (b"im_ref=a%2", "a%2"),
        (b"im_ref=a==", "a=="),
        (b"im%5Fref=a", "a"),
        (b"irclickid=old&im_ref=new", "new"),
        (b"irclickid=old", "old"),
        (b"im_ref=first&im_ref=second", "first"),
        (b"IM_REF=a", None),
        (b"&&&", None),
        (b"", None),
    ],
)
def test_the_query_is_read_by_hand(query: bytes, click_id: str | None) -> None:
    """`+` is no space, one decoding and no more, the configured names in their order, the first of equal names."""
    assert from_query(query, NAMES).click_id == click_id


@pytest.mark.parametrize(
    "query",
    [
        b"im_ref",
        b"im_ref=",
        b"im_ref=a%20b",
        b"im_ref=" + b"x" * 65,
        b"im_ref=%00",
        b"im_ref=%ff",
        b"im_ref=%C3%A4",
        b"im_ref=&irclickid=good",
        b"im_ref=;",
        b"im_ref=a%0d%0aSet-Cookie:x=y",
        b"im_ref=\xff",
        b"im_ref=a%3Bb",
    ],
)
def test_a_bad_id_is_refused(query: bytes) -> None:
    """What cannot be a click id is refused with a code that says so."""
    with pytest.raises(MalformedRequest) as refused:
        from_query(query, NAMES)
    assert refused.value.code == "INVALID_CLICK_ID"


@given(st.binary())
def test_any_bytes_can_be_a_query(query: bytes) -> None:
    """No query string upsets the reading."""
    assert all(name.encode() is not None and value.encode() is not None for name, value in parse_query(query).items())


@pytest.mark.parametrize("consent", ["", "true", "GRANTED", "granted ", "no"])
def test_consent_is_granted_or_denied(consent: str) -> None:
    """A visitor's choice is never guessed from another word."""
    with pytest.raises(MalformedRequest, match="consent"):
        from_query(f"consent={quote(consent)}".encode(), NAMES)


def test_everything_that_a_page_can_say() -> None:
    """All keys of both forms are read."""
    assert from_query(b"im_ref=a&url=u%20&referrer=r+&consent=denied&to=t", NAMES) == Landing(
        ClickId("a"), "u ", "r+", None, False, "t"
    )
    assert from_body(
        "text/plain", body(im_ref="a", url="u", referrer="r", captured_at=5, consent=True, z=1), NAMES
    ) == (Landing(ClickId("a"), "u", "r", 5, True))


@pytest.mark.parametrize(
    ("value", "second"),
    [
        (1_763_661_622, 1_763_661_622),
        (-5, -5),
        (10**30, 10**30),
        ("2025-11-20T18:00:22+00:00", 1_763_661_622),
        ("2025-11-20T18:00:22.999Z", 1_763_661_622),
        ("2025-11-20t19:00:22+01:00", 1_763_661_622),
        ("2025-11-20T18:00Z", 1_763_661_600),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200),
        ("9999-12-31T23:59:59-12:00", 253_402_343_999),
    ],
)
def test_times_of_capture(value: object, second: int) -> None:
    """ISO 8601 with an offset, or whole seconds; far past and far future are read, not feared."""
    assert from_body(None, body(captured_at=value), NAMES).captured_at == second


WRONG: dict[str, list[object]] = {
    "captured_at": [
        True,
        1.5,
        None,
        [],
        {},
        "",
        "now",
        "1763661622",
        "2025-11-20",
        "2025-11-20T18:00:22",
        "2025-02-30T00:00Z",
        "2025-11-20T18:00:22+25:00",
        "2025-11-20T18:00:22Z\n",
        "٢٠٢٥-11-20T18:00:22Z",
    ],
    "consent": ["true", 1, 0, None, []],
    **{name: [None, 1, True, ["a"], {"a": "b"}] for name in ("im_ref", "irclickid", "url", "referrer")},
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_type_is_named(key: str, value: object) -> None:
    """A shop's developer learns which key is wrong."""
    with pytest.raises(MalformedRequest, match=f"`{key}`"):
        from_body("application/json", body(**{"im_ref": "a", key: value}), NAMES)


@pytest.mark.parametrize("value", ["", "a b", "x" * 65, "\ud800", "\x00", "a;b"])
def test_a_bad_id_in_json_is_refused(value: str) -> None:
    """The same rule holds in a body."""
    with pytest.raises(MalformedRequest) as refused:
        from_body(None, body(im_ref=value), NAMES)
    assert refused.value.code == "INVALID_CLICK_ID"


def test_of_several_keys_im_ref_comes_first() -> None:
    """`im_ref` is the key; the shop's own parameter names follow in their order."""
    assert from_body(None, body(mine="b", irclickid="c", im_ref="a"), ("mine", "irclickid")).click_id == "a"
    assert from_body(None, body(irclickid="c", mine="b"), ("mine", "irclickid")).click_id == "b"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"im_ref"',
        b"null",
        b"1",
        b"im_ref=a",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\x00"}',
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a":' * 3000,
        b"[" * 16000,
        b"\x1f\x8b\x08",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":' + b"1" * 16000 + b"}",
        "{}".encode("utf-16"),
    ],
    ids=repr,
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    """Malformed, too deep, not UTF-8, not an object: one refusal, never a crash."""
    with pytest.raises(MalformedRequest):
        from_body("application/json", raw, NAMES)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(repr).map(str.encode))
def test_no_body_is_too_strange(raw: bytes) -> None:
    """Whatever is posted, the answer is a landing or a refusal."""
    with suppress(MalformedRequest):
        from_body(None, raw, NAMES)


@pytest.mark.parametrize(
    "media_type",
    [None, "", "application/json", "text/plain", "text/plain;charset=UTF-8", "Application/JSON ; charset=utf-8"],
)
def test_the_media_types_that_are_read(media_type: str | None) -> None:
    """Fetch, beacons and plain HTTP libraries need no special care."""
    assert from_body(media_type, body(im_ref="a"), NAMES).click_id == "a"


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "text/html", "json", "text/plain2", ";", "*/*"]
)
def test_the_media_types_that_are_not(media_type: str) -> None:
    """A form post or a page is not mistaken for JSON."""
    if media_type == ";":  # no type before the parameters: the same as none
        assert from_body(media_type, b"{}", NAMES) == Landing()
        return
    with pytest.raises(WrongMediaType):
        from_body(media_type, body(im_ref="a"), NAMES)


def test_the_longest_body() -> None:
    """16 KiB are read, one byte more is not."""
    fitting = body(im_ref="a").ljust(MAX_BODY)
    assert from_body(None, fitting, NAMES).click_id == "a"
    with pytest.raises(TooLarge):
        from_body(None, fitting + b" ", NAMES)


def test_an_empty_body_says_nothing() -> None:
    """A post without a body is a call without any parameter."""
    assert from_body(None, b"", NAMES) == Landing()
