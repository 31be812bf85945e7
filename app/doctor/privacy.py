"""Whether orders whose personal data were removed are known again."""

from collections.abc import Iterator

from app.doctor.finding import Finding, Status
from app.privacy.key import what_is_wrong
from app.service import Service


def fingerprint_key(service: Service) -> Iterator[Finding]:
    """See whether the key that fingerprints were put under is the one that is set."""
    with service.database.snapshot() as session:
        wrong = what_is_wrong(session, service.settings.fingerprint_key)
    if wrong is not None:
        repair = "Until then a repeat of such an order is answered 409."
        yield Finding("fingerprint key", Status.FAILURE, wrong, repair)
    elif service.settings.fingerprint_key is not None:
        yield Finding("fingerprint key", Status.OK, "The key of fingerprints is the one that was always used.")
