"""Whom an order is credited to: what the rules for promo codes add, and what a shop says afterwards."""

from collections.abc import Mapping
from dataclasses import replace

from app.conversions.order import Order
from app.event_type import DEFAULT_KEY
from app.promo_code import PromoRule, PromoRules


def add_rule(order: Order, rules: PromoRules) -> Order:
    """Return an order that was sent with what the rule for its promo code adds, if it has no click id.

    What the order itself says stays: its media id, and an event type other than the default one.
    """
    rule = _rule_for(order, rules)
    if rule is None:
        return order
    moves = order.event_type == DEFAULT_KEY and rule.event_type not in {None, DEFAULT_KEY}
    return replace(
        order,
        media_id=order.media_id or rule.media_id,
        sent_as=order.fingerprint(),
        goes_under=rule.event_type if moves else None,
    )


def credit_anew(order: Order, named: Mapping[str, str | None], rules: PromoRules) -> Order:
    """Return an order with another click id, promo code or media id; those that are not named stay.

    The media id of a rule goes with the promo code that it came for, and the new one's rule adds its own, unless one is
    named. The event type stays.
    """
    after = replace(
        order,
        click_id=named.get("click_id", order.click_id),
        promo_code=named.get("promo_code", order.promo_code),
        media_id=named.get("media_id", order.media_id),
    )
    if "media_id" in named:
        return after
    before = _rule_for(order, rules)
    if before is not None and before.media_id == order.media_id and after.promo_code != order.promo_code:
        after = replace(after, media_id=None)
    rule = _rule_for(after, rules)
    return replace(after, media_id=after.media_id or rule.media_id) if rule else after


def _rule_for(order: Order, rules: PromoRules) -> PromoRule | None:
    if order.click_id is not None or order.promo_code is None:
        return None
    return rules.match(order.promo_code)
