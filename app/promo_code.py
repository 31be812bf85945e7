"""Rules that say whom a promo code belongs to, as the settings describe them.

Upper and lower case do not matter, blanks do. A rule for exactly a code goes before every pattern, and of the patterns
that fit, the first in the file counts.
"""

import re
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

LEVELS_OF_RULES: Final = frozenset({"item", "order"})
"""Levels of event types that a rule may name: orders of others have a parent, or come from an app."""
_WILDCARDS: Final = frozenset("*?")


def _media_id(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        raise ValueError("write the partner's number at impact.com, such as media_id = 2763")
    return text


_Code = Annotated[str, Field(min_length=1, max_length=255)]


class PromoRule(BaseModel):
    """What is added to orders without a click that used a code: whom it belongs to, and where they are filed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: _Code | None = None
    pattern: _Code | None = None
    media_id: Annotated[str, BeforeValidator(_media_id)]
    event_type: str | None = None

    @model_validator(mode="after")
    def _one_way_to_match(self) -> Self:
        if (self.code is None) == (self.pattern is None):
            raise ValueError("a rule has either a code, such as ANNA10, or a pattern, such as CREATOR-*")
        if self.code is not None and _WILDCARDS & set(self.code):
            raise ValueError(f"{self.code!r} is a pattern: write pattern = {self.code!r} (a * itself is [*])")
        if self.pattern is not None and not _WILDCARDS & set(self.pattern) and "[" not in self.pattern:
            raise ValueError(f"{self.pattern!r} has no *, ? or [...]: write code = {self.pattern!r}")
        return self

    def __str__(self) -> str:
        """Return what the rule matches."""
        return self.code or self.pattern or ""


class PromoRules(BaseModel):
    """All rules, in the order of their file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[PromoRule, ...] = ()

    @model_validator(mode="after")
    def _one_rule_per_code(self) -> Self:
        seen: set[str] = set()
        for rule in self.rules:
            words = str(rule).casefold()
            if words in seen:
                raise ValueError(f"there are two rules for {str(rule)!r} (upper and lower case do not matter)")
            seen.add(words)
        return self

    @cached_property
    def codes(self) -> dict[str, PromoRule]:
        """The rules for exactly one code, by the code in lower case."""
        return {rule.code.casefold(): rule for rule in self.rules if rule.code is not None}

    @cached_property
    def patterns(self) -> list[tuple[re.Pattern[str], PromoRule]]:
        """The rules that have a pattern, in their order."""
        having = (rule for rule in self.rules if rule.pattern is not None)
        return [(re.compile(translate(str(rule).casefold())), rule) for rule in having]

    def match(self, code: str) -> PromoRule | None:
        """Return the rule that a promo code falls under."""
        folded = code.casefold()
        by_pattern = (rule for pattern, rule in self.patterns if pattern.match(folded))
        return self.codes.get(folded) or next(by_pattern, None)

    def __str__(self) -> str:
        """Return how many there are, since there may be thousands."""
        return f"{len(self.rules)} rules" if self.rules else ""
