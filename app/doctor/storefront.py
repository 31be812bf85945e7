"""The shop's pages, as a visitor meets them: what becomes of a click id on the way there, and of the snippet's call."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from app.config import Settings
from app.doctor.cookie_answer import cookie_answer
from app.doctor.finding import Asked, Finding, Status
from app.doctor.journey import Click, Journey, Way, new_click, travel, ways
from app.doctor.page import page_findings, snippet_answers
from app.doctor.site import CAPPED_DAYS, Relation, cap, origin, relation
from app.doctor.times import page_clock
from app.doctor.web import Unreached, Web, plain
from app.service import Clock

HTTP_ERRORS: Final = 400
HOW_TO: Final = "docs/how-to/"


class Visit(NamedTuple):
    """One page of the shop, and the service as browsers reach it."""

    web: Web
    settings: Settings
    page: str
    tracking: str


def storefront(web: Web, settings: Settings, asked: Asked, clock: Clock) -> Iterator[Finding]:
    """Look at the service as browsers reach it, and at each page that was named."""
    if not asked.tracking:
        told = "Where browsers reach the service is not known, so cookie, call and policy were not looked at."
        yield Finding("tracking", Status.WARNING, told, "Give --tracking https://track.shop.example.")
    else:
        yield from snippet_answers(web, asked.tracking)
    for page in asked.storefronts:
        yield from _look_at(Visit(web, settings, page, asked.tracking), clock)


def _look_at(visit: Visit, clock: Clock) -> Iterator[Finding]:
    click = new_click(visit.settings.parameters, visit.settings.cookie_name)
    journey = travel(visit.web, visit.page, click)
    if journey.stopped:
        yield Finding("storefront", Status.FAILURE, journey.stopped, "See that the shop's page can be reached.")
        return
    yield from page_clock(journey.pages[-1], clock)
    yield from _redirects(visit, click, journey)
    if visit.tracking:
        yield from _distance(visit, journey.pages[-1].url)
        yield from cookie_answer(visit.web, visit.settings, journey.pages[-1].url, visit.tracking)
        yield from page_findings(journey.pages[-1], visit.tracking)


# The way there ----------------------------------------------------------------------------------------------------


def _redirects(visit: Visit, click: Click, first: Journey) -> Iterator[Finding]:
    """See whether the click id arrives, whichever of the page's addresses a link has."""
    arrived: list[str] = []
    lost: dict[str, list[str]] = defaultdict(list)
    for way in (Way("as given", visit.page), *ways(visit.page)):
        journey = first if way.name == "as given" else _travel(visit.web, way, click)
        if journey is None:
            continue
        if journey.lost:
            lost[journey.lost].append(way.name)
        elif fault := _fault(visit, way, journey):
            yield fault
        else:
            arrived.append(way.name)
    for hop, names in lost.items():
        told = f"The click id is lost on the way to {visit.page} ({', '.join(names)}): {hop} without it."
        repair = f"Have that redirect keep the query as it came, {' and '.join(visit.settings.parameters)} at least."
        yield Finding("redirects", Status.FAILURE, told, repair)
    if arrived:
        yield Finding("redirects", Status.OK, f"The click id arrives at {visit.page}: {', '.join(arrived)}.")


def _travel(web: Web, way: Way, click: Click) -> Journey | None:
    """Return what came of a way; None if there is no such host, to which no link leads then."""
    if way.may_be_missing:
        try:
            web.names(origin(way.url)[1])
        except Unreached:
            return None
    return travel(web, way.url, click, way.headers)


def _fault(visit: Visit, way: Way, journey: Journey) -> Finding | None:
    if journey.stopped:
        told = f"{way.url} ({way.name}) leads nowhere: {journey.stopped}"
        return Finding("redirects", Status.WARNING, told, "Have it redirect to the page, or let no link name it.")
    last = journey.pages[-1]
    if last.status >= HTTP_ERRORS:
        told = f"{plain(last.url)} answers {last.status} ({way.name})."
        return Finding("redirects", Status.WARNING, told, "See what visitors get there; some shops refuse programs.")
    if relation(last.url, visit.page) is Relation.OTHER_SITE and not _is_linked(visit.settings, last.url):
        told = f"{visit.page} ({way.name}) ends at {plain(last.url)}, another site, where the cookie is not seen."
        repair = "Give that page to --storefront too, and name its domain in CAPTURE_LINKED_DOMAINS."
        return Finding("redirects", Status.WARNING, told, repair)
    return None


def _is_linked(settings: Settings, url: str) -> bool:
    host = origin(url)[1]
    return any(host == one or (one[:2] == "*." and host.endswith(one[1:])) for one in settings.linked_domains)


# How far the service is -------------------------------------------------------------------------------------------


def _distance(visit: Visit, page: str) -> Iterator[Finding]:
    """Tell same origin from another one, and how long Safari keeps the cookie."""
    far, days = relation(page, visit.tracking), visit.settings.cookie_days
    shop, service = origin(page)[1], origin(visit.tracking)[1]
    told = f"For pages of {shop} the service ({service}) is {far.value}."
    if far is Relation.OTHER_SITE:
        repair = f"Reach the service at a host of the shop's: {HOW_TO}landing-page.md shows how."
        yield Finding("origin", Status.FAILURE, told, repair)
        told = "Safari keeps and sends no cookie of another site; what is left is the one of the script, for 7 days."
        yield Finding("safari", Status.FAILURE, told, repair)
        return
    yield Finding("origin", Status.OK, told)
    try:
        why = "" if far is Relation.SAME_ORIGIN else cap(visit.web.names(shop), visit.web.names(service))
    except Unreached as unknown:
        yield Finding("safari", Status.WARNING, str(unknown), "Without their addresses Safari's verdict is not known.")
        return
    if why and days > CAPPED_DAYS:
        told = f"Safari keeps the cookie of {service} for {CAPPED_DAYS} days instead of {days}, since {why}."
        repair = f"Show the service at the shop's own address ({HOW_TO}reverse-proxy.md), or at an address of its own"
        yield Finding("safari", Status.WARNING, told, f"{repair} network ({HOW_TO}subdomain.md).")
    else:
        whole = f"Safari keeps the cookie that {service} sets for its {days} days"
        script = f"one that a script sets for {CAPPED_DAYS} at most, and for 1 after a link from a tracker's domain"
        yield Finding("safari", Status.OK, f"{whole}; {script}.")
