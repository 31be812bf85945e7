"""What impact.com says of an action is understood exactly, or not at all."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.actions.action import minor_units, read_action, read_time, read_update
from app.impact.currency import DECIMALS, format_amount
from tests.actions.impact import action

CURRENCIES = st.sampled_from([code for code, decimals in DECIMALS.items() if decimals <= 3])


@given(CURRENCIES, st.integers(-(10**12) + 1, 10**12 - 1), st.integers(0, 3))
def test_an_amount_is_exact_however_it_is_spelled(currency: str, number: int, zeros: int) -> None:
    """As text, with needless zeros or an exponent, as a JSON number that went through the API's parser."""
    text = format_amount(number, currency)
    padded = text + ("0" * zeros if "." in text else "")
    spellings = [text, padded, f" {text} ", f"{Decimal(text):E}", orjson.loads(text), orjson.loads(padded)]
    assert {minor_units(one, currency) for one in spellings} == {number}


@given(
    st.one_of(
        st.none(), st.text(), st.booleans(), st.floats(), st.lists(st.integers()), st.dictionaries(st.text(), st.text())
    )
)
def test_what_is_no_amount_is_none(value: object) -> None:
    """Whatever stands there, an amount is a whole number of the smallest unit or unknown, and nothing fails."""
    found = minor_units(value, "USD")
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize("value", ["42.505", "1e15", "NaN", "-Infinity", "1,000.00", "$5", True, "", 0.005])
def test_an_amount_that_is_not_exact_is_not_guessed(value: object) -> None:
    """A fraction of a cent, or another country's spelling, is not rounded or understood somehow."""
    assert minor_units(value, "USD") is None


def test_without_a_known_currency_there_is_no_amount() -> None:
    """Cents of what? The action is kept all the same."""
    read = read_action(action("A", Currency="???"))
    assert read
    assert (read.currency, read.amount, read.order_id) == ("???", None, "A")


def test_both_spellings_of_the_order_id() -> None:
    """`Oid` here, `OrderId` elsewhere, as it is, byte for byte."""
    row = action("A", Oid="", OrderId=" Ä-1/ ")
    read = read_action(row)
    assert read
    assert read.order_id == " Ä-1/ "


def test_unknown_states_are_kept() -> None:
    """A state that impact.com invents tomorrow is shown as it is."""
    read = read_action(action("A", State="On_Hold"))
    assert read
    assert read.state == "ON_HOLD"


@given(
    st.dictionaries(
        st.sampled_from([*action("A"), "ActionId", "UpdateDate"]),
        st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.none())),
    )
)
def test_no_row_is_too_strange(row: dict[str, object]) -> None:
    """Missing fields, other types, nonsense: a row is read or left out, and never stops the reading."""
    read, update = read_action(row), read_update(row)
    assert read is None or read.action_id
    assert update is None or update.action_id


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-09-10T10:42:38-07:00", datetime(2020, 9, 10, 17, 42, 38, tzinfo=UTC)),
        ("2020-09-10T10:42:38Z", datetime(2020, 9, 10, 10, 42, 38, tzinfo=UTC)),
        ("2020-09-10", datetime(2020, 9, 10, tzinfo=UTC)),
        ("soon", None),
        ("0001-01-01T00:00:00+10:00", None),
        (5, None),
    ],
)
def test_times_are_utc(text: object, moment: datetime | None) -> None:
    """Whatever offset they come with."""
    assert read_time(text) == moment
