"""Everything that the doctor looks at, and its report.

A new finding is one more function in AROUND, or in INSIDE if it reads the database.
"""

import json
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app import __version__
from app.doctor.api import api
from app.doctor.cookie import calling_pages, cookie_settings
from app.doctor.database import clock, database, schema
from app.doctor.deadlines import deadlines
from app.doctor.delivery import channels, deliveries_that_wait, journal, probes, pull
from app.doctor.finding import EVERYTHING_HERE, Asked, Finding, Look, Status
from app.doctor.privacy import fingerprint_key
from app.doctor.settings import shown_settings
from app.doctor.storefront import storefront
from app.doctor.surroundings import disk, keys
from app.doctor.web import Web
from app.errors import Unavailable
from app.service import Service

AROUND: Final[tuple[Look, ...]] = (keys, disk)
CONNECTING: Final[tuple[Look, ...]] = (api,)
INSIDE: Final[tuple[Look, ...]] = (
    schema,
    clock,
    journal,
    channels,
    *CONNECTING,
    deliveries_that_wait,
    pull,
    deadlines,
    fingerprint_key,
)


def examine(service: Service, asked: Asked = EVERYTHING_HERE, web: Web | None = None) -> list[Finding]:
    """Return all findings; what a database that is not there would have told is left out."""
    found = [finding for one in AROUND for finding in one(service)]
    found += [*cookie_settings(service, asked), *calling_pages(service, asked), *_abroad(service, asked, web)]
    reached = [*_guarded(database, service)]
    found += reached
    if all(finding.status is Status.OK for finding in reached):
        looks = [one for one in INSIDE if asked.network or one not in CONNECTING]
        found += [finding for one in looks for finding in _guarded(one, service)]
    return found


def _abroad(service: Service, asked: Asked, web: Web | None) -> Iterator[Finding]:
    """Yield what others say: the receivers of files, and the shop's pages if any are named."""
    if not asked.network:
        yield Finding("network", Status.OK, "Nothing was connected to: channels, impact.com and pages were not tried.")
        return
    yield from probes(service)
    if asked.storefronts or asked.tracking:
        web = web or Web(allow_private=service.settings.allow_private_hosts)
        yield from storefront(web, service.settings, asked, service.clock)


def _guarded(one: Look, service: Service) -> Iterator[Finding]:
    try:
        yield from one(service)
    except Unavailable as away:
        yield Finding(one.__name__, Status.FAILURE, str(away), "See that the database runs and can be reached.")
    except SQLAlchemyError:
        repair = "See to the finding called schema first."
        yield Finding(one.__name__, Status.FAILURE, "The database has not the tables that tell it.", repair)


def report(service: Service, asked: Asked = EVERYTHING_HERE, *, as_json: bool) -> tuple[str, bool]:
    """Return the settings and findings as text, and whether something is amiss that must be seen to."""
    settings, findings = shown_settings(service), examine(service, asked)
    failed = any(one.status is Status.FAILURE for one in findings)
    if as_json:
        told = {
            "version": __version__,
            "settings": settings,
            "findings": [
                {"name": one.name, "status": one.status, "detail": one.detail, "repair": one.repair} for one in findings
            ],
        }
        return json.dumps(told, indent=2, ensure_ascii=False), failed
    lines = [f"{name}={value}" for name, value in settings.items()]
    lines += [f"{one.status:<8} {one.name}: {one.detail} {one.repair}".rstrip() for one in findings]
    return "\n".join(lines), failed
