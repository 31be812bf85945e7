"""Capture a landing: from what arrived at `/capture` to what is stored and answered, whatever server took the call."""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.clicks.click import SECONDS_PER_DAY, ClickId, Verdict, landing_url, last_click_wins, origin_of
from app.clicks.cookie import CookieRule, expire_cookies, kept_clicks, set_cookies
from app.clicks.landing import Landing, from_body, from_query
from app.clicks.redirect import allowed_target
from app.clicks.store import Click, add_new, delete_by_ids
from app.clicks.visitor import is_bot, is_speculative, sends_gpc, user_agent_family
from app.config import Settings
from app.database import Database, retried
from app.errors import PROBLEM_JSON, Failure, Forbidden

Headers = tuple[tuple[str, str], ...]

METHODS: Final = "GET, POST, OPTIONS"
ALWAYS: Final[Headers] = (("Vary", "Origin"), ("Cache-Control", "no-store"))
PREFLIGHT: Final[Headers] = (
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "content-type"),
    ("Access-Control-Max-Age", "86400"),
)

log = logging.getLogger(__name__)


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
    def own_origin(self) -> str | None:
        """The origin of this service as the caller sees it."""
        return origin_of(f"{self.scheme}://{self.host}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. A header may be there more than once."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a landing leads to: Set-Cookie values, a row to keep, rows to delete."""

    cookies: tuple[str, ...] = ()
    record: Click | None = None
    forget: frozenset[ClickId] = frozenset()


def capture(arrival: Arrival, settings: Settings, database: Database) -> Answer:
    """Answer a GET or POST: check where it comes from, read it, decide, store. Storage that is away is only logged."""
    cors: Headers = ()
    try:
        cors = cors_headers(arrival, settings.storefront_origins)
        landing = _read(arrival, settings)
        if landing.to is not None:
            allowed_target(landing.to, settings.storefront_origins, settings.linked_domains)
    except Failure as failure:
        return refusal(failure, cors)
    decision = decide(arrival, landing, settings)
    carry_out(decision, database)
    cookies = tuple(("Set-Cookie", one) for one in decision.cookies)
    if landing.to is None:
        return Answer(204, (*ALWAYS, *cors, *cookies))
    return Answer(302, (*ALWAYS, *cors, *cookies, ("Location", landing.to)))


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
    rule = CookieRule(settings.cookie_name, settings.cookie_domain, settings.cookie_secure, settings.cookie_httponly)
    kept = kept_clicks(arrival.headers.get("cookie", ""), rule)
    if landing.consent is False or (settings.honor_gpc and sends_gpc(arrival.headers)):
        named = () if landing.click_id is None else (landing.click_id,)
        return Decision(expire_cookies(rule, arrival.host), forget=frozenset((*named, *(one.click_id for one in kept))))
    awaits_consent = settings.consent == "required" and not landing.consent
    if landing.click_id is None or awaits_consent or _is_no_visit(arrival.headers):
        return Decision()
    verdict = last_click_wins(
        landing.click_id,
        landing.captured_at,
        kept,
        now=int(arrival.now.timestamp()),
        window=settings.cookie_days * SECONDS_PER_DAY,
    )
    cookies: tuple[str, ...] = ()
    if verdict.max_age is not None:
        cookies = set_cookies(rule, arrival.host, landing.click_id, verdict)
    record = _click(arrival, landing, landing.click_id, verdict, settings) if verdict.recorded else None
    return Decision(cookies, record)


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


def carry_out(decision: Decision, database: Database) -> None:
    """Write the row or delete the rows. A failure is logged and goes no further: the shop's page must not suffer."""
    if decision.record is None and not decision.forget:
        return
    try:
        _write(decision, database)
    except Exception as error:  # noqa: BLE001 (whatever it is, the answer with its cookies is still worth giving)
        # Only the kind of error: a traceback or its text may quote the row.
        event = "click_not_deleted" if decision.forget else "click_not_stored"
        log.error(event, extra={"error": type(error).__name__})  # noqa: TRY400 (see above)


@retried
def _write(decision: Decision, database: Database) -> None:
    with database.transaction() as session:
        if decision.record is not None:
            add_new(session, [decision.record])
        if decision.forget:
            delete_by_ids(session, decision.forget)
