"""An address becomes the same hash wherever it is hashed by the stated rule, and nothing else of it is kept."""

import unicodedata
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversions.email_hash import hash_of_email, normalised

GOLDEN = {
    "anna@shop.example": "1add7f5415d97550c5c3bb7f2eab072c48dcc77d5b66d1ff41ee466cbd01530d",
    " Anna@Shop.Example\u00a0": "1add7f5415d97550c5c3bb7f2eab072c48dcc77d5b66d1ff41ee466cbd01530d",
    "jürgen+news@bücher.example": "ec9552dd5cdd86778ac13491428ccbfc92a3721dd85f0dd5742c544a12ef821c",
    "JU\u0308RGEN+news@bu\u0308cher.example": "ec9552dd5cdd86778ac13491428ccbfc92a3721dd85f0dd5742c544a12ef821c",
    "a.b@mail.example.org": "0bd11d0242df2dcfcf5b357251970b317dc6756d37dd5c5ee59f1a4046a6de10",
}
"""Made by `printf '%s' ADDRESS | sha256sum` from the address as the rule leaves it."""


@pytest.mark.parametrize("address", GOLDEN)
def test_an_address_has_the_hash_that_any_other_program_gives_it(address: str) -> None:
    """The golden vectors were not made by this program."""
    assert hash_of_email(address) == GOLDEN[address]


LETTERS = "abcxyzäöéßñ0123456789.+_-"
PART = st.text(LETTERS, min_size=1, max_size=12)
LABEL = st.text("abcxyzäöé0123456789-", min_size=1, max_size=12)
Form = Literal["NFC", "NFD"]
FORMS: st.SearchStrategy[Form] = st.sampled_from(get_args(Form))
ADDRESSES = st.builds(lambda name, labels: f"{name}@{'.'.join(labels)}", PART, st.lists(LABEL, min_size=2, max_size=4))


@given(ADDRESSES, FORMS, st.sampled_from(["", " ", "\t", "\u00a0", "\r\n"]), st.booleans())
def test_writing_does_not_matter(address: str, form: Form, around: str, is_loud: bool) -> None:
    """Capitals (where there is one that leads back), blanks around, composed or not: one customer has one hash."""
    loud = "".join(one.upper() if one.upper().lower() == one else one for one in address)
    written = around + unicodedata.normalize(form, loud if is_loud else address) + around
    assert hash_of_email(written) == hash_of_email(address) is not None
    assert normalised(normalised(written)) == normalised(written)


def test_nothing_else_is_taken_for_the_same() -> None:
    """Dots and plus tags are the provider's affair: two addresses may be two people."""
    assert len({hash_of_email(one) for one in ("ab@x.example", "a.b@x.example", "ab+c@x.example", "ab@y.example")}) == 4


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "anna", "anna@", "@shop.example", "anna@shop", "anna@@shop.example", "a@b@shop.example"),
        *("anna@shop.example, bob@shop.example", "Anna <anna@shop.example>", "an na@shop.example", "a@.example"),
        *("a@shop.example.", "a\u200b@shop.example", "\ufeffa@shop.example", "a" * 310 + "@shop.example"),
    ],
)
def test_what_is_not_one_address_has_no_hash(text: str) -> None:
    """A name beside it, two of them, half of one, or characters that nobody sees."""
    assert hash_of_email(text) is None
