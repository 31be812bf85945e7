"""A body means one thing only, and its numbers keep every digit."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Fault, InvalidInput
from app.strict_json import MALFORMED, parse, unusable

SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(categories=["L", "Nd"])), inner),
    max_leaves=20,
)


def codes(body: bytes) -> list[tuple[str, str]]:
    """Return the code and the place of each fault."""
    return [(fault.code, fault.pointer) for fault in parse(body)[1]]


def refused(body: bytes) -> Fault:
    """Return the one fault of what is no JSON at all."""
    with pytest.raises(InvalidInput) as refusal:
        parse(body)
    [fault] = refusal.value.faults
    return fault


@given(VALUES)
def test_ordinary_json_is_read_as_everybody_reads_it(value: Any) -> None:
    """What a shop's JSON library writes comes in unchanged and without a complaint."""
    assert parse(json.dumps(value).encode()) == (value, [])
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == (value, [])


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) <= 100))
def test_a_number_keeps_every_digit(number: Decimal) -> None:
    """No amount goes through binary floating point, however many digits it has."""
    [read], faults = parse(f"[{number}]".encode())
    assert not faults
    assert Decimal(read).as_tuple() == number.as_tuple()


def test_an_amount_that_a_float_cannot_hold_is_exact() -> None:
    """0.1 stays a tenth, and twenty digits stay twenty digits."""
    assert parse(b"[0.1, 12345678901234567890.12]")[0] == [Decimal("0.1"), Decimal("12345678901234567890.12")]
    assert parse(b"[" + b"9" * 5_000 + b"]")[0] == [Decimal("9" * 5_000)]


def test_minus_zero_stays_negative() -> None:
    """`-0` and `-0.0` are the same mistake in a shop's arithmetic, and are seen as one."""
    assert [Decimal(one).is_signed() for one in parse(b"[-0, -0.0]")[0]] == [True, True]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "0e999999999", "1e-999999999", "-1E+101"])
def test_a_number_that_cannot_be_written_out_is_a_fault(number: str) -> None:
    """Ten characters of a body cannot keep the service busy for minutes or fill its memory."""
    began = time.process_time()
    assert codes(f'{{"amount": {number}}}'.encode()) == [("INVALID_NUMBER", "/amount")]
    assert time.process_time() - began < 1


def test_a_key_that_comes_twice_is_named_with_its_place() -> None:
    """Nobody has to guess which of two amounts was meant."""
    body = (
        b'{"a": 1, "a": 2, "items": [{"amount": "1"}, {"amount": "1", "sku": "x", "amount": "2"}], "~/": {"b":1,"b":1}}'
    )
    assert codes(body) == [
        ("DUPLICATE_KEY", "/a"),
        ("DUPLICATE_KEY", "/items/1/amount"),
        ("DUPLICATE_KEY", "/~0~1/b"),
    ]


@pytest.mark.parametrize("character", ["\\u0000", "\\n", "\\u007f", "\\u0085", "\\ud800", "\\udfff", "\\udc00\\ud800"])
def test_text_that_a_database_or_a_file_cannot_hold_is_a_fault(character: str) -> None:
    """NUL, control characters and halves of surrogate pairs are refused before any database sees them."""
    assert codes(f'{{"a": ["x", "x{character}y"]}}'.encode()) == [("INVALID_TEXT", "/a/1")]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_all_other_text_is_fine(text: str) -> None:
    """Umlauts, emoji, marks of right-to-left writing and unassigned characters are kept as they are."""
    assert unusable(text) is None
    assert parse(json.dumps([text]).encode()) == ([text], [])


def test_a_whole_pair_of_surrogates_is_one_character() -> None:
    """JSON writers that escape an emoji are understood."""
    assert parse(b'["\\ud83d\\ude00"]') == (["\U0001f600"], [])


def test_an_unprintable_key_becomes_one_that_can_be_shown() -> None:
    """An answer that names the key can be written and read."""
    value, faults = parse(b'{"a\\ud800\\u0000": 1}')
    assert (list(value), faults) == (["a\\ud800\\x00"], [])


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b'{"a":1,}', b"[1] 2", b"'a'", b"\xef\xbb\xbf{}", b'["\x01"]', b"[01]", b"[+1]", b"[.5]"]
)
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    """A body cut in half is answered with the place where it ends to make sense."""
    fault = refused(body)
    assert (fault.code, fault.pointer) == (MALFORMED, "")
    assert "not JSON" in fault.detail


def test_other_encodings_are_named_as_such() -> None:
    """Latin-1 from an old shop is not silently misread."""
    assert "not UTF-8 (byte 2)" in refused(b'["\xfc"]').detail
    assert "not UTF-8" in refused(b'["\xed\xa0\x80"]').detail


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_deep_nesting_is_refused_and_nothing_falls_over(depth: int) -> None:
    """A body of brackets is an invalid body, not a crash."""
    assert "deep" in refused(b"[" * depth + b"]" * depth).detail
    assert "deep" in refused(b'{"a":' * depth + b"1" + b"}" * depth).detail
