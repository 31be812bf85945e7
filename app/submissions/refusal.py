"""The reasons of a call that impact.com refused at once, as far as its record tells them."""

import re
from typing import Final

from app.impact.outcomes import known_reasons

_CODE: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_OURS: Final = frozenset({"API_REFUSED", "DELIVERY_REFUSED"})


def codes_of(code: str | None, detail: str | None, http_status: int | None) -> list[str]:
    """Return impact.com's codes, from the record's code or its sentence; else what there is: a code, or the status."""
    named = [one for one in _CODE.findall(code or "") if one not in _OURS]
    known = [one for one in _CODE.findall(detail or "") if one in known_reasons()]
    return list(dict.fromkeys(named or known)) or [f"HTTP_{http_status}" if http_status else "REFUSED"]
