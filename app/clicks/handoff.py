"""Hand a visitor's click over to another domain of the shop, for shops whose scripts cannot or do not read the cookie.

Nothing is set or stored here: the domain where the visitor arrives keeps the click, if the link is fresh.
"""

from typing import Final

from app.clicks.admission import may_be_handed_over
from app.clicks.capture import ALWAYS, Arrival, Caller, caller_of, refusal
from app.clicks.click import SECONDS_PER_DAY, captured_since, visitors_click
from app.clicks.cookie import is_same_site, kept_clicks
from app.clicks.landing import parse_query
from app.clicks.linked import with_click
from app.clicks.redirect import allowed_target, linked_host
from app.config import Settings
from app.errors import Failure
from app.thin import Answer, Headers

# The page that was left may have the click id in its address, and may send whole addresses to other sites.
NO_REFERRER_PATH: Final[Headers] = [(b"referrer-policy", b"strict-origin")]


def handoff(arrival: Arrival, settings: Settings, *, limited: bool = False) -> Answer:
    """Redirect to `to`, with the visitor's click if that is another domain of the shop and the visitor goes there.

    A client that calls too often (`limited`) is redirected without its click.
    """
    target = parse_query(arrival.query).get("to", "")
    try:
        allowed_target(target, settings.storefront_origins, settings.linked_domains)
    except Failure as failure:
        return refusal(failure, [*ALWAYS, *NO_REFERRER_PATH])
    host, caller = linked_host(target, settings.linked_domains), caller_of(arrival, settings)
    leaves = host is not None and not is_same_site(caller.host, host)
    if leaves and not limited and may_be_handed_over(_texts(arrival)) and not caller.refuses:
        target = _with_visitors_click(target, arrival, caller, settings)
    return Answer(302, [*ALWAYS, *NO_REFERRER_PATH, (b"location", target.encode())])


def _texts(arrival: Arrival) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in arrival.headers.items()}


def _with_visitors_click(target: str, arrival: Arrival, caller: Caller, settings: Settings) -> str:
    """Return `target` with the click that counts, if there is one; one of unknown age counts as captured now."""
    kept = kept_clicks(arrival.header(b"cookie"), caller.cookie)
    now, window = arrival.second, settings.cookie_days * SECONDS_PER_DAY
    click = visitors_click(kept, now=now, window=window)
    if click is None:
        return target
    since = captured_since(click.click_id, kept, now)
    captured = now if since is None else since
    return with_click(target, click.click_id, captured, now, settings.parameters) if now - captured < window else target
