"""The form by which an order is released, or credited otherwise."""

from collections.abc import Callable, Mapping
from typing import Final

from app.errors import InvalidInput

FIELDS: Final = {"click_id": "Click id", "promo_code": "Promo code", "media_id": "Media id"}
"""By what an order is credited, as the form calls it."""


def changed(given: Callable[[str], str]) -> dict[str, str | None]:
    """Return what was changed in the form. What was emptied is taken away; what was left stays as it is by then."""
    typed = {name: given(name).strip() for name in FIELDS}
    return {name: value or None for name, value in typed.items() if value != given(f"was_{name}")}


def faults_of(invalid: InvalidInput) -> Mapping[str, str]:
    """Return what is wrong by field; under the empty name what is wrong with the whole."""
    found: dict[str, str] = {}
    for fault in invalid.faults:
        found.setdefault(fault.pointer.removeprefix("/"), fault.detail)
    return found
