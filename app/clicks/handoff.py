"""Hand a visitor's click over to another domain of the shop, for shops whose scripts cannot or do not read the cookie.

Nothing is set or stored here: the domain where the visitor arrives keeps the click, if the link is fresh.
"""

from typing import Final

from app.clicks.admission import may_be_handed_over
from app.clicks.capture import ALWAYS, Answer, Arrival, Headers, cookie_rule, refusal, refuses_tracking
from app.clicks.click import SECONDS_PER_DAY, captured_since, visitors_click
from app.clicks.cookie import is_same_site, kept_clicks
from app.clicks.landing import parse_query
from app.clicks.linked import with_click
from app.clicks.redirect import allowed_target, linked_host
from app.config import Settings
from app.errors import Failure

# The page that was left may have the click id in its address, and may send whole addresses to other sites.
NO_REFERRER_PATH: Final[Headers] = (("Referrer-Policy", "strict-origin"),)


def handoff(arrival: Arrival, settings: Settings, *, limited: bool = False) -> Answer:
    """Redirect to `to`, with the visitor's click if that is another domain of the shop and the visitor goes there.

    A client that calls too often (`limited`) is redirected without its click.
    """
    target = parse_query(arrival.query).get("to", "")
    try:
        allowed_target(target, settings.storefront_origins, settings.linked_domains)
    except Failure as failure:
        return refusal(failure, NO_REFERRER_PATH)
    host = linked_host(target, settings.linked_domains)
    leaves = host is not None and not is_same_site(arrival.host, host)
    if leaves and not limited and may_be_handed_over(arrival.headers) and not refuses_tracking(arrival, settings):
        target = _with_visitors_click(target, arrival, settings)
    return Answer(302, (*ALWAYS, *NO_REFERRER_PATH, ("Location", target)))


def _with_visitors_click(target: str, arrival: Arrival, settings: Settings) -> str:
    """Return `target` with the click that counts, if there is one; one of unknown age counts as captured now."""
    kept = kept_clicks(arrival.headers.get("cookie", ""), cookie_rule(settings))
    now, window = arrival.second, settings.cookie_days * SECONDS_PER_DAY
    click = visitors_click(kept, now=now, window=window)
    if click is None:
        return target
    since = captured_since(click.click_id, kept, now)
    captured = now if since is None else since
    return with_click(target, click.click_id, captured, now, settings.parameters) if now - captured < window else target
