"""Who is calling: a browser of some family, a program that must not count as a landing, or a visitor who refuses."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final

import ua_parser
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

MAX_USER_AGENT: Final = 512
MAX_FAMILY: Final = 100

# Storefronts that run on a server call with such libraries, and headless browsers test shops.
_WELCOME: Final = frozenset({"http-library", "browser-automation"})
_SPECULATIVE: Final = re.compile(r"\b(?:prefetch|prerender|preview|instant)\b", re.IGNORECASE)
PURPOSES: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""The headers by which browsers say, or said, that they ask ahead."""


def user_agent_family(user_agent: str) -> str | None:
    """Return the browser's family such as `Mobile Safari` (uap-core), never its version; None if unknown."""
    return _family(user_agent[:MAX_USER_AGENT])


@lru_cache(maxsize=4_096)
def _family(user_agent: str) -> str | None:
    found = ua_parser.parse_user_agent(user_agent)
    # Some families are cut out of the header itself, so they may hold anything.
    return found.family[:MAX_FAMILY] if found and found.family.isprintable() else None


def is_bot(user_agent: str) -> bool:
    """Say whether this is a crawler, a link preview or a monitor (monperrus/crawler-user-agents)."""
    return _is_bot(user_agent[:MAX_USER_AGENT])


@lru_cache(maxsize=4_096)
def _is_bot(user_agent: str) -> bool:
    return _bots().search(user_agent) is not None


@cache
def _bots() -> re.Pattern[str]:
    unwelcome = (one["pattern"] for one in CRAWLER_USER_AGENTS_DATA if _WELCOME.isdisjoint(one.get("tags", ())))
    return re.compile("|".join(f"(?:{pattern})" for pattern in unwelcome))


def warm_up() -> None:
    """Read the two lists now, which takes a few tenths of a second."""
    is_bot("")
    user_agent_family("")


def is_speculative(headers: Mapping[str, str]) -> bool:
    """Say whether the browser asks ahead of a visit that may never happen; names of `headers` are in lower case."""
    return any(_SPECULATIVE.search(headers.get(name, "")) for name in PURPOSES)


def sends_gpc(headers: Mapping[str, str]) -> bool:
    """Say whether the visitor's browser sends Global Privacy Control, which is exactly `Sec-GPC: 1`."""
    return headers.get("sec-gpc", "").strip(" \t") == "1"
