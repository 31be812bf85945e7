"""Capture a landing: from what arrived at `/capture` to what is stored and answered, whatever server took the call.

A visitor waits for this, and a crowd of them for each other. What the headers alone say is worked out once for all that
say the same (`Caller`).
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from app.clicks.admission import may_write
from app.clicks.click import GRANTED, IMPLIED, SECONDS_PER_DAY, ClickId, landing_url, last_click_wins, origin_of
from app.clicks.cookie import (
    CookieRule,
    attributes,
    expire_cookies,
    expire_shadows,
    is_settled,
    kept_clicks,
    set_cookies,
)
from app.clicks.landing import Landing, from_body, from_query
from app.clicks.linked import captured_of
from app.clicks.redirect import allowed_target
from app.clicks.store import NewClick, Note
from app.clicks.visitor import PURPOSES, is_bot, is_speculative, sends_gpc, user_agent_family
from app.config import Settings
from app.errors import Failure, Forbidden
from app.thin import Answer, Headers, problem_answer

METHODS: Final = b"GET, POST, OPTIONS"
ALWAYS: Final[Headers] = [(b"vary", b"Origin"), (b"cache-control", b"no-store")]
PREFLIGHT: Final[Headers] = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
]


class Arrival(NamedTuple):
    """A call as it came in, in the second `second` since 1970.

    `headers` have names in lower case, repeated ones joined; they, `query` and `body` are raw.
    """

    method: str
    scheme: str
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    second: int

    def header(self, name: bytes) -> str:
        """Return a header as text, empty if there is none."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""


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


class Caller(NamedTuple):
    """What the headers alone say of a call; a visitor's browser says the same at every landing, as do many others.

    `stranger` is the refusal of an Origin that is none of the shop's. `headers` are those of every answer: with them a
    page of the shop's may read it. `cookie` says how cookies are called, `attributes` what stands behind their age.
    """

    stranger: Forbidden | None
    headers: Headers
    host: str
    origins: Collection[str]
    may_write: bool
    may_read: bool
    refuses: bool
    is_no_visit: bool
    family: str | None
    cookie: CookieRule
    attributes: str


Decision = tuple[Outcome, tuple[str, ...], Note | None]
"""What a landing leads to: Set-Cookie values in their order, and what is to be written down before the answer."""


class Captured(NamedTuple):
    """The answer to a call, what is to be kept before it goes out, and what to count."""

    answer: Answer
    note: Note | None
    outcome: Outcome


def capture(arrival: Arrival, settings: Settings, limited: Failure | None = None) -> Captured:
    """Answer a GET or POST: check where it comes from, read it, decide.

    `limited` is the refusal of a client that calls too often. A visitor who is on the way to another page gets there in
    any case.
    """
    caller = caller_of(arrival, settings)
    if caller.stranger:
        return Captured(refusal(caller.stranger, ALWAYS), None, Outcome.REFUSED)
    try:
        landing = _read(arrival, settings)
        if landing.to is not None:
            allowed_target(landing.to, settings.storefront_origins, settings.linked_domains)
    except Failure as failure:
        return Captured(refusal(failure, caller.headers), None, Outcome.INVALID)
    refused = limited or (None if caller.may_write else _stranger())
    if refused is None:
        outcome, cookies, note = decide(arrival, caller, landing, settings)
    else:
        outcome, cookies, note = Outcome.LIMITED if limited else Outcome.REFUSED, (), None
    headers = [*caller.headers, *[(b"set-cookie", one.encode()) for one in cookies]]
    if landing.to is not None:
        answer = Answer(302, [*headers, (b"location", landing.to.encode())])
    elif refused is not None:
        answer = refusal(refused, caller.headers)
    else:
        answer = Answer(204, headers)
    return Captured(answer, note, outcome)


def _stranger() -> Forbidden:
    return Forbidden(
        "A page of another site made the browser call, or it was loaded into a frame; call from a page of the shop, and"
        " name its origin in CAPTURE_STOREFRONT_ORIGINS if it lies on another site than this service.",
        code="CROSS_SITE_NOT_ALLOWED",
    )


def preflight(arrival: Arrival, settings: Settings) -> Answer:
    """Answer an OPTIONS, as the Fetch standard has it before a page may post JSON to another origin."""
    caller = caller_of(arrival, settings)
    if caller.stranger:
        return refusal(caller.stranger, ALWAYS)
    return Answer(204, [*caller.headers, *(PREFLIGHT if caller.may_read else [(b"allow", METHODS)])])


def refusal(failure: Failure, headers: Headers) -> Answer:
    """Return the RFC 9457 problem; with the right headers a page of an allowed origin can read it."""
    return problem_answer(failure, headers)


# What the headers say -------------------------------------------------------------------------------------------

_TOLD: Final = (
    *("host", "origin", "user-agent", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-gpc"),
    *PURPOSES,
)
_TOLD_RAW: Final = tuple(name.encode() for name in _TOLD)
_REMEMBERED: Final = 1_000
"""Bytes of all these together, up to which what they say is remembered: memory is bounded."""


def caller_of(arrival: Arrival, settings: Settings) -> Caller:
    """Return what the headers say of a call."""
    told = tuple(map(arrival.headers.get, _TOLD_RAW))
    read = _caller if len(b"".join(filter(None, told))) <= _REMEMBERED else _caller.__wrapped__
    return read(arrival.scheme, told, settings)


@lru_cache(maxsize=4_096)
def _caller(scheme: str, told: tuple[bytes | None, ...], settings: Settings) -> Caller:
    headers = {name: value.decode("latin-1") for name, value in zip(_TOLD, told, strict=True) if value is not None}
    host, origin, user_agent = headers.get("host", ""), headers.get("origin"), headers.get("user-agent", "")
    own_origin, rule = origin_of(f"{scheme}://{host}"), cookie_rule(settings)
    may_read = origin is not None and (origin in settings.storefront_origins or origin == own_origin)
    return Caller(
        stranger=None if origin is None or may_read else _unknown_origin(),
        headers=[*ALWAYS, *(_cors_headers(origin) if origin and may_read else ())],
        host=host,
        origins=(*settings.storefront_origins, own_origin) if own_origin else settings.storefront_origins,
        may_write=may_write(headers, origin_is_ours=may_read),
        may_read=may_read,
        refuses=settings.honor_gpc and sends_gpc(headers),
        is_no_visit=is_speculative(headers) or is_bot(user_agent),
        family=user_agent_family(user_agent),
        cookie=rule,
        attributes=attributes(rule, host),
    )


def _unknown_origin() -> Forbidden:
    """Return the refusal of an Origin that is no storefront's and not our own, compared exactly; `null` is neither."""
    return Forbidden(
        "This origin may not report landings; name it in CAPTURE_STOREFRONT_ORIGINS.", code="ORIGIN_NOT_ALLOWED"
    )


def _cors_headers(origin: str) -> Headers:
    """Return what lets a page of another origin read the answer."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
    ]


def cookie_rule(settings: Settings) -> CookieRule:
    """Return the cookie as the settings have it."""
    return CookieRule(settings.cookie_name, settings.cookie_domain, settings.cookie_secure, settings.cookie_httponly)


# What the landing says ------------------------------------------------------------------------------------------


def _read(arrival: Arrival, settings: Settings) -> Landing:
    if arrival.method == "POST":
        return from_body(arrival.header(b"content-type"), arrival.body, settings.parameters)
    return from_query(arrival.query, settings.parameters)


def decide(arrival: Arrival, caller: Caller, landing: Landing, settings: Settings) -> Decision:
    """Say what a landing leads to. A refusal comes first, then what is no visit, then the last click."""
    if landing.consent is False or caller.refuses:
        return _withdraw(arrival, caller, landing)
    if landing.click_id is None:
        return Outcome.NONE, (), None
    if settings.consent == "required" and not landing.consent:
        return Outcome.WITHHELD, (), None
    if caller.is_no_visit:
        return Outcome.NO_VISIT, (), None
    captured_at = landing.captured_at
    if landing.linked is not None:
        captured_at = captured_of(landing.linked, arrival.second)
        if captured_at is None:
            return Outcome.STALE, (), None
    window = settings.cookie_days * SECONDS_PER_DAY
    return _last_click(arrival, caller, landing, landing.click_id, captured_at, window)


def _withdraw(arrival: Arrival, caller: Caller, landing: Landing) -> Decision:
    """Forget the click that is named, and those in the cookies."""
    named = () if landing.click_id is None else (landing.click_id,)
    kept = kept_clicks(arrival.header(b"cookie"), caller.cookie)
    forget = frozenset((*named, *(one.click_id for one in kept)))
    note = Note(forget=forget) if forget else None
    return Outcome.WITHDRAWN, expire_cookies(caller.cookie, caller.host), note


def _last_click(
    arrival: Arrival, caller: Caller, landing: Landing, click_id: ClickId, captured_at: int | None, window: int
) -> Decision:
    """Set the landing's click against those in the cookies."""
    header, rule, now = arrival.header(b"cookie"), caller.cookie, arrival.second
    kept = kept_clicks(header, rule)
    verdict = last_click_wins(click_id, captured_at, kept, now=now, window=window)
    captured, max_age, recorded = verdict
    cookies: tuple[str, ...] = ()
    if max_age:
        cookies = set_cookies(rule, caller.attributes, click_id, verdict)
        if not is_settled(header, rule, click_id, now):
            cookies = (*expire_shadows(rule, caller.host), *cookies)
    elif max_age == 0:
        cookies = expire_cookies(rule, caller.host)
    if not recorded:
        return Outcome.EXPIRED, cookies, None
    again = any(one.click_id == click_id for one in kept) if kept else False
    outcome = Outcome.OLDER if max_age is None else Outcome.REPEATED if again else Outcome.CAPTURED
    return outcome, cookies, Note(_click(arrival, caller, landing, click_id, captured))


def _click(arrival: Arrival, caller: Caller, landing: Landing, click_id: ClickId, captured: int) -> NewClick:
    return NewClick(
        click_id,
        _moment(captured),
        _landing_page(arrival, caller, landing),
        origin_of(landing.referrer) if landing.referrer else None,
        caller.family,
        "redirect" if landing.to is not None else arrival.method.lower(),
        GRANTED if landing.consent else IMPLIED,  # whoever refuses has no click
    )


@lru_cache(maxsize=1_024)
def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _landing_page(arrival: Arrival, caller: Caller, landing: Landing) -> str | None:
    """Return the page that the shop named, else the one that it sends the visitor to, else a storefront's Referer."""
    if landing.url is not None:
        return landing_url(landing.url)
    if landing.to is not None:
        return landing_url(landing.to)
    referer = arrival.header(b"referer") if arrival.method == "GET" else ""
    return landing_url(referer) if origin_of(referer) in caller.origins else None
