"""Reading whom an order is to be credited to, by the same rules as the order's own fields."""

from collections.abc import Mapping
from datetime import datetime

from app.conversions.order_body import Body, ClickIdField, MediaIdField, PromoCodeField, Rules, read_body
from app.errors import Fault, InvalidInput


class CreditBody(Body):
    """What an order is credited by from now on: one of these or several. What is not named stays, null takes away."""

    click_id: ClickIdField | None = None
    promo_code: PromoCodeField | None = None
    media_id: MediaIdField | None = None


def read_credit(body: bytes, rules: Rules, now: datetime) -> Mapping[str, str | None]:
    """Return those ids that `body` (JSON) names. Raises InvalidInput with every fault."""
    parsed = read_body(CreditBody, body, rules, now)
    if not parsed.model_fields_set:
        raise InvalidInput([Fault("NO_ATTRIBUTION", "Name a click_id, a promo_code or a media_id.")])
    return {name: getattr(parsed, name) for name in sorted(parsed.model_fields_set)}
