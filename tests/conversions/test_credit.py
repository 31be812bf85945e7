"""Whom an order is credited to: by rules when it comes, and by a person afterwards."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.conversions.credit import add_rule, credit_anew
from app.conversions.order import Order
from app.promo_code import PromoRule, PromoRules
from tests.support import order

RULES = PromoRules(
    rules=(
        PromoRule(code="ANNA", media_id="1"),
        PromoRule(code="BEN", media_id="2", event_type="creators"),
        PromoRule(code="CLEO", media_id="3", event_type="default"),
    )
)
UNKNOWN = order(click_id=None)


@pytest.mark.parametrize(
    ("sent", "media_id", "goes_under"),
    [
        ({"promo_code": "ANNA"}, "1", None),
        ({"promo_code": "anna"}, "1", None),
        ({"promo_code": "ANNA", "media_id": "9"}, "9", None),
        ({"promo_code": "ANNA", "click_id": "c"}, None, None),
        ({"promo_code": "BEN"}, "2", "creators"),
        ({"promo_code": "BEN", "media_id": "9"}, "9", "creators"),
        ({"promo_code": "BEN", "event_type": "signup"}, "2", None),
        ({"promo_code": "BEN", "event_type": "creators"}, "2", None),
        ({"promo_code": "CLEO"}, "3", None),
        ({"promo_code": "DORA"}, None, None),
        ({}, None, None),
    ],
)
def test_a_rule_adds_what_the_order_does_not_say(
    sent: Mapping[str, Any], media_id: str | None, goes_under: str | None
) -> None:
    """The partner, and the event type of orders that name none; a click goes before all, and what is sent stays."""
    before = replace(UNKNOWN, **sent)
    after = add_rule(before, RULES)
    assert (after.media_id, after.goes_under) == (media_id, goes_under)
    assert replace(after, media_id=before.media_id) == before
    assert after.fingerprint() == before.fingerprint()


@pytest.mark.parametrize(
    ("before", "named", "after"),
    [
        ({}, {"click_id": "c"}, {"click_id": "c"}),
        ({}, {"promo_code": "ANNA"}, {"promo_code": "ANNA", "media_id": "1"}),
        ({}, {"promo_code": "BEN"}, {"promo_code": "BEN", "media_id": "2"}),
        ({}, {"promo_code": "ANNA", "media_id": "9"}, {"promo_code": "ANNA", "media_id": "9"}),
        ({}, {"promo_code": "ANNA", "media_id": None}, {"promo_code": "ANNA"}),
        ({"promo_code": "ANNA", "media_id": "1"}, {"promo_code": "BEN"}, {"promo_code": "BEN", "media_id": "2"}),
        ({"promo_code": "ANNA", "media_id": "1"}, {"promo_code": "DORA"}, {"promo_code": "DORA"}),
        ({"promo_code": "ANNA", "media_id": "9"}, {"promo_code": "BEN"}, {"promo_code": "BEN", "media_id": "9"}),
        ({"promo_code": "ANNA", "media_id": "1"}, {"promo_code": None}, {}),
        ({"promo_code": "ANNA", "media_id": "1"}, {"promo_code": "ANNA"}, {"promo_code": "ANNA", "media_id": "1"}),
        ({"promo_code": "ANNA"}, {"promo_code": "ANNA"}, {"promo_code": "ANNA", "media_id": "1"}),
        ({"click_id": "c", "promo_code": "ANNA"}, {"click_id": None}, {"promo_code": "ANNA", "media_id": "1"}),
        ({"click_id": "c"}, {"media_id": "9"}, {"click_id": "c", "media_id": "9"}),
        ({"click_id": "c"}, {"media_id": "9", "click_id": None}, {"media_id": "9"}),
        ({"media_id": "9"}, {"media_id": None}, {}),
    ],
)
def test_a_later_word_changes_what_it_names(
    before: Mapping[str, Any], named: Mapping[str, str | None], after: Mapping[str, Any]
) -> None:
    """The rest stays, but for a partner who was there for a code that is gone; the same again changes nothing."""
    asked, wanted = replace(UNKNOWN, **before), replace(UNKNOWN, **after)
    once = credit_anew(asked, named, RULES)
    assert once == wanted
    assert credit_anew(once, named, RULES) == once


def test_what_a_person_says_is_what_a_body_could_have_said() -> None:
    """A backend that posts the order with its click after all repeats it, and makes no second one."""
    later = credit_anew(UNKNOWN, {"click_id": "c"}, RULES)
    assert later.fingerprint() == order(click_id="c").fingerprint()
    assert isinstance(later, Order)
