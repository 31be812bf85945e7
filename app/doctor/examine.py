"""Everything that the doctor looks at, and its report.

A new finding is one more function in AROUND, or in INSIDE if it reads the database.
"""

import json
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app import __version__
from app.doctor.api import api
from app.doctor.database import clock, database, schema
from app.doctor.deadlines import deadlines
from app.doctor.delivery import channels, deliveries_that_wait, journal, pull
from app.doctor.finding import Finding, Look, Status
from app.doctor.privacy import fingerprint_key
from app.doctor.settings import shown_settings
from app.doctor.surroundings import disk, keys
from app.errors import Unavailable
from app.service import Service

AROUND: Final[tuple[Look, ...]] = (keys, disk)
INSIDE: Final[tuple[Look, ...]] = (
    schema,
    clock,
    journal,
    channels,
    api,
    deliveries_that_wait,
    pull,
    deadlines,
    fingerprint_key,
)


def examine(service: Service) -> list[Finding]:
    """Return all findings; what a database that is not there would have told is left out."""
    found = [finding for one in AROUND for finding in one(service)]
    reached = [*_guarded(database, service)]
    found += reached
    if all(finding.status is Status.OK for finding in reached):
        found += [finding for one in INSIDE for finding in _guarded(one, service)]
    return found


def _guarded(one: Look, service: Service) -> Iterator[Finding]:
    try:
        yield from one(service)
    except Unavailable as away:
        yield Finding(one.__name__, Status.FAILURE, str(away), "See that the database runs and can be reached.")
    except SQLAlchemyError:
        repair = "See to the finding called schema first."
        yield Finding(one.__name__, Status.FAILURE, "The database has not the tables that tell it.", repair)


def report(service: Service, *, as_json: bool) -> tuple[str, bool]:
    """Return the settings and findings as text, and whether something is amiss that must be seen to."""
    settings, findings = shown_settings(service), examine(service)
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
