"""What the account of the sandbox has: programs, event types, chains, promo codes and disposition codes."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from app.sandbox.money import EXPONENTS
from app.sandbox.options import Options, names, pairs
from app.sandbox.reference import reason_codes

MAX_AGE: Final = timedelta(days=88)
MAX_AGE_WITH_MEDIA: Final = timedelta(days=398)
AHEAD: Final = timedelta(days=1)
MAX_MODIFICATIONS: Final = 1_000
ANYBODY: Final = "10000"
"""The partner who is credited where nothing says which one."""

_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Program:
    """The options of the account, read."""

    options: Options
    campaigns: frozenset[str]
    trackers: dict[str, str]
    parents: dict[str, str]
    promo_codes: dict[str, str]
    custom: frozenset[str]
    approving: frozenset[str]

    @classmethod
    def of(cls, options: Options) -> Self:
        """Read the options. Raises ValueError with a sentence if one cannot be read."""
        if options.account_currency not in EXPONENTS:
            raise ValueError(f"account-currency: {options.account_currency!r} is no ISO 4217 code, such as USD")
        approving = frozenset(names(options.approving_dispositions))
        return cls(
            options,
            frozenset(names(options.campaigns)),
            pairs(options.trackers),
            pairs(options.chains),
            pairs(options.promo_codes),
            frozenset(names(options.dispositions)) | approving,
            approving | ({"APPROVED"} if approving else set()),
        )

    def knows_reason(self, reason: str, place: str) -> bool:
        """Say whether a disposition code is taken in a place: `file reason`, `API PUT`, `API DELETE`."""
        return reason in reason_codes(place) or reason in self.custom or reason in self.approving

    def tracker_fault(self, campaign: str, tracker: str) -> str:
        """Return what is wrong with a pair of ids, "" if nothing is."""
        if not _ID.fullmatch(campaign) or (self.campaigns and campaign not in self.campaigns):
            return "CAMPAIGN_NOT_FOUND"
        if not _ID.fullmatch(tracker) or (self.trackers and tracker not in self.trackers):
            return "ACTIONTRACKER_NOT_FOUND"
        if self.trackers and self.trackers[tracker] != campaign:
            return "ACTIONTRACKER_CAMPAIGN_MISMATCH"
        return ""
