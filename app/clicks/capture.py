"""Capture a landing: from what arrived at `/capture` to what is stored and answered, whatever server took the call."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from app.clicks.admission import may_write
from app.clicks.click import SECONDS_PER_DAY, ClickId, Verdict, landing_url, last_click_wins, origin_of
from app.clicks.cookie import CookieRule, expire_cookies, expire_shadows, is_settled, kept_clicks, set_cookies
from app.clicks.landing import Landing, from_body, from_query
from app.clicks.linked import captured_of
from app.clicks.redirect import allowed_target
from app.clicks.store import Click, Note
from app.clicks.visitor import is_bot, is_speculative, sends_gpc, user_agent_family
from app.config import Settings
from app.errors import PROBLEM_JSON, Failure, Forbidden

Headers = tuple[tuple[str, str], ...]

METHODS: Final = "GET, POST, OPTIONS"
ALWAYS: Final[Headers] = (("Vary", "Origin"), ("Cache-Control", "no-store"))
PREFLIGHT: Final[Headers] = (
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "content-type"),
    ("Access-Control-Max-Age", "86400"),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call as it came in. `headers` have names in lower case, repeated ones joined; `query` and `body` are raw."""

    method: str
    scheme: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes
    now: datetime

    @property
    def host(self) -> str:
        """The Host header, with its port if it has one."""
        return self.headers.get("host", "")

    @property
    def second(self) -> int:
        """The second since 1970 in which it came in."""
        return int(self.now.timestamp())

    @property
    def own_origin(self) -> str | None:
        """The origin of this service as the caller sees it."""
        return origin_of(f"{self.scheme}://{self.host}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. A header may be there more than once."""

    status: int
    headers: Headers
    body: bytes = b""


class Outcome(StrEnum):
    """What became of a call, in one word."""

    CAPTURED = "captured"
    REPEATED = "repeated"
    """The visitor's cookies held this click already."""
    OLDER = "older"
    """Recorded, but a newer click keeps the cookie."""
    EXPIRED = "expired"
    """The click has outlived its window."""
    STALE = "stale"
    """The link that handed the click over is malformed or too old."""
    WITHDRAWN = "withdrawn"
    WITHHELD = "withheld"
    """Consent is required and not there yet."""
    NO_VISIT = "no_visit"
    """A crawler, or a browser that asks ahead."""
    NONE = "none"
    """There was no click id."""
    REFUSED = "refused"
    """A page that is none of the shop's made the browser call."""
    LIMITED = "limited"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a landing leads to: Set-Cookie values in their order, and what is to be written down before the answer."""

    outcome: Outcome
    cookies: tuple[str, ...] = ()
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """The answer to a call, what is to be kept before it goes out, and what to count."""

    answer: Answer
    note: Note | None
    outcome: Outcome


def capture(arrival: Arrival, settings: Settings, limited: Failure | None = None) -> Captured:
    """Answer a GET or POST: check where it comes from, read it, decide.

    `limited` is the refusal of a client that calls too often. A visitor who is on the way to another page gets there in
    any case.
    """
    cors: Headers = ()
    try:
        cors = cors_headers(arrival, settings.storefront_origins)
        landing = _read(arrival, settings)
        if landing.to is not None:
            allowed_target(landing.to, settings.storefront_origins, settings.linked_domains)
    except Forbidden as failure:
        return Captured(refusal(failure, cors), None, Outcome.REFUSED)
    except Failure as failure:
        return Captured(refusal(failure, cors), None, Outcome.INVALID)
    refused = limited or (None if may_write(arrival.headers, origin_is_ours=bool(cors)) else _stranger())
    if refused is None:
        decision = decide(arrival, landing, settings)
    else:
        decision = Decision(Outcome.LIMITED if limited else Outcome.REFUSED)
    cookies = tuple(("Set-Cookie", one) for one in decision.cookies)
    if landing.to is not None:
        answer = Answer(302, (*ALWAYS, *cors, *cookies, ("Location", landing.to)))
    elif refused is not None:
        answer = refusal(refused, cors)
    else:
        answer = Answer(204, (*ALWAYS, *cors, *cookies))
    return Captured(answer, decision.note, decision.outcome)


def _stranger() -> Forbidden:
    return Forbidden(
        "A page of another site made the browser call, or it was loaded into a frame; call from a page of the shop, and"
        " name its origin in CAPTURE_STOREFRONT_ORIGINS if it lies on another site than this service.",
        code="CROSS_SITE_NOT_ALLOWED",
    )


def preflight(arrival: Arrival, settings: Settings) -> Answer:
    """Answer an OPTIONS, as the Fetch standard has it before a page may post JSON to another origin."""
    try:
        cors = cors_headers(arrival, settings.storefront_origins)
    except Failure as failure:
        return refusal(failure, ())
    return Answer(204, (*ALWAYS, *cors, *(PREFLIGHT if cors else (("Allow", METHODS),))))


def refusal(failure: Failure, cors: Headers) -> Answer:
    """Return the RFC 9457 problem; a page of an allowed origin can read it, since it has the CORS headers too."""
    headers = (*ALWAYS, *cors, *failure.headers.items(), ("Content-Type", PROBLEM_JSON))
    return Answer(int(failure.status), headers, json.dumps(failure.problem()).encode())


def cors_headers(arrival: Arrival, storefronts: Collection[str]) -> Headers:
    """Return what lets the calling page read the answer; nothing where no page of another origin calls.

    Raises Forbidden for an Origin that is neither a storefront's nor our own, compared exactly; `null` is neither.
    """
    origin = arrival.headers.get("origin")
    if origin is None:
        return ()
    if origin not in storefronts and origin != arrival.own_origin:
        raise Forbidden(
            "This origin may not report landings; name it in CAPTURE_STOREFRONT_ORIGINS.", code="ORIGIN_NOT_ALLOWED"
        )
    return (("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"))


def _read(arrival: Arrival, settings: Settings) -> Landing:
    if arrival.method == "POST":
        return from_body(arrival.headers.get("content-type"), arrival.body, settings.parameters)
    return from_query(arrival.query, settings.parameters)


def decide(arrival: Arrival, landing: Landing, settings: Settings) -> Decision:
    """Say what a landing leads to. A refusal comes first, then what is no visit, then the last click."""
    rule, header = cookie_rule(settings), arrival.headers.get("cookie", "")
    if landing.consent is False or refuses_tracking(arrival, settings):
        named = () if landing.click_id is None else (landing.click_id,)
        forget = frozenset((*named, *(one.click_id for one in kept_clicks(header, rule))))
        note = Note(forget=forget) if forget else None
        return Decision(Outcome.WITHDRAWN, expire_cookies(rule, arrival.host), note)
    if landing.click_id is None:
        return Decision(Outcome.NONE)
    if settings.consent == "required" and not landing.consent:
        return Decision(Outcome.WITHHELD)
    if _is_no_visit(arrival.headers):
        return Decision(Outcome.NO_VISIT)
    captured_at = landing.captured_at
    if landing.linked is not None:
        captured_at = captured_of(landing.linked, arrival.second)
        if captured_at is None:
            return Decision(Outcome.STALE)
    return _last_click(arrival, landing, landing.click_id, captured_at, settings)


def _last_click(
    arrival: Arrival, landing: Landing, click_id: ClickId, captured_at: int | None, settings: Settings
) -> Decision:
    """Set the landing's click against those in the cookies."""
    rule, header = cookie_rule(settings), arrival.headers.get("cookie", "")
    kept = kept_clicks(header, rule)
    verdict = last_click_wins(
        click_id, captured_at, kept, now=arrival.second, window=settings.cookie_days * SECONDS_PER_DAY
    )
    cookies: tuple[str, ...] = ()
    if verdict.max_age is not None:
        cookies = set_cookies(rule, arrival.host, click_id, verdict)
    if verdict.max_age and not is_settled(header, rule, click_id, arrival.second):
        cookies = (*expire_shadows(rule, arrival.host), *cookies)
    if not verdict.recorded:
        return Decision(Outcome.EXPIRED, cookies)
    again = any(one.click_id == click_id for one in kept)
    outcome = Outcome.OLDER if verdict.max_age is None else Outcome.REPEATED if again else Outcome.CAPTURED
    return Decision(outcome, cookies, Note(record=_click(arrival, landing, click_id, verdict, settings)))


def cookie_rule(settings: Settings) -> CookieRule:
    """Return the cookie as the settings have it."""
    return CookieRule(settings.cookie_name, settings.cookie_domain, settings.cookie_secure, settings.cookie_httponly)


def refuses_tracking(arrival: Arrival, settings: Settings) -> bool:
    """Say whether the visitor's browser refuses for them, and the shop honours that."""
    return settings.honor_gpc and sends_gpc(arrival.headers)


def _is_no_visit(headers: Mapping[str, str]) -> bool:
    return is_speculative(headers) or is_bot(headers.get("user-agent", ""))


def _click(arrival: Arrival, landing: Landing, click_id: ClickId, verdict: Verdict, settings: Settings) -> Click:
    return Click(
        click_id=click_id,
        captured_at=datetime.fromtimestamp(verdict.captured_at, UTC),
        landing_url=_landing_page(arrival, landing, settings),
        referrer_origin=origin_of(landing.referrer or ""),
        user_agent_family=user_agent_family(arrival.headers.get("user-agent", "")),
        source="redirect" if landing.to is not None else arrival.method.lower(),
    )


def _landing_page(arrival: Arrival, landing: Landing, settings: Settings) -> str | None:
    """Return the page that the shop named, else the one that it sends the visitor to, else a storefront's Referer."""
    if landing.url is not None:
        return landing_url(landing.url)
    if landing.to is not None:
        return landing_url(landing.to)
    referer = arrival.headers.get("referer", "") if arrival.method == "GET" else ""
    ours = (*settings.storefront_origins, arrival.own_origin)
    return landing_url(referer) if origin_of(referer) in ours else None
