"""The settings of the visitor's cookie and of the pages that may call, against the public suffix list."""

from collections.abc import Iterator
from typing import Final

from app.clicks.cookie import cookie_domain, host_name, is_same_site, registrable_domain
from app.config import Settings
from app.doctor.finding import Asked, Finding, Status
from app.doctor.site import origin
from app.service import Service

RULES: Final = frozenset({"auto", "host"})
HOW_TO: Final = "docs/how-to/landing-page.md shows how the service comes to a host of the shop's."


def cookie_settings(service: Service, asked: Asked) -> Iterator[Finding]:
    """See whether browsers take the cookie, and send it to the shop."""
    settings = service.settings
    host = origin(asked.tracking)[1] if asked.tracking else ""
    faults = [*_domain_faults(settings, host), *_attribute_faults(settings)]
    yield from (Finding("cookie domain", *fault) for fault in faults)
    if faults:
        return
    if not host:
        detail = f"CAPTURE_COOKIE_DOMAIN={','.join(settings.cookie_domain)} is no public suffix."
        hint = " Give --tracking, the address at which browsers reach the service, to see what it comes to there."
        yield Finding("cookie domain", Status.OK, detail + hint)
    else:
        domain = cookie_domain(settings.cookie_domain, host)
        kept = f"is for {domain} and all below it" if domain else f"is for {host} alone"
        yield Finding("cookie domain", Status.OK, f"The cookie of {host} {kept}.")


Fault = tuple[Status, str, str]


def _domain_faults(settings: Settings, host: str) -> Iterator[Fault]:
    named = [one for one in settings.cookie_domain if one not in RULES]
    for one in named:
        if registrable_domain(one) is None:
            told = f"CAPTURE_COOKIE_DOMAIN={one} is a public suffix (publicsuffix.org): no browser takes such a cookie."
            yield Status.FAILURE, told, "Name the shop's own domain, one label more, or set it to auto."
    blind = [one for one in settings.storefront_origins if named and not cookie_domain(named, origin(one)[1])]
    if blind:
        told = f"Pages of {', '.join(blind)} lie below none of CAPTURE_COOKIE_DOMAIN={','.join(named)}: no cookie."
        yield Status.WARNING, told, "Name their domain too, or set it to auto."
    if not host:
        return
    if named and cookie_domain(named, host) is None:
        told = f"{host} lies below none of CAPTURE_COOKIE_DOMAIN={','.join(named)}: its cookie is for that host alone."
        yield Status.FAILURE, told, "Name the domain that the shop and this host share, or set it to auto."
    elif host_name(host) is None or registrable_domain(host) is None:
        told = f"{host} has no domain that it shares with a shop: its cookie is for that host alone."
        yield Status.WARNING, told, HOW_TO


def _attribute_faults(settings: Settings) -> Iterator[Fault]:
    name = settings.cookie_name.lower()
    if name.startswith(("__host-", "__secure-")) and not settings.cookie_secure:
        told = f"Browsers take a cookie named {settings.cookie_name} only with Secure."
        yield Status.FAILURE, told, "Set CAPTURE_COOKIE_SECURE=true, or another CAPTURE_COOKIE_NAME."
    elif not settings.cookie_secure:
        told = "CAPTURE_COOKIE_SECURE=false: the click id also goes over connections that anybody on the way can read."
        yield Status.WARNING, told, "Set it to true, unless this is a trial without https."


def calling_pages(service: Service, asked: Asked) -> Iterator[Finding]:
    """See whether pages of the shop may call, and whether the cookie is their own there."""
    origins, host = service.settings.storefront_origins, origin(asked.tracking)[1] if asked.tracking else ""
    if not origins:
        told = "CAPTURE_STOREFRONT_ORIGINS names no page: only pages at the service's own address may call."
        repair = "Name each origin of the shop, unless a proxy shows the service at the shop's own address."
        yield Finding("cors", Status.WARNING, told, repair)
        return
    open_to_all = [one for one in origins if one.startswith("http://") and service.settings.cookie_secure]
    if open_to_all:
        told = f"Pages of {', '.join(open_to_all)} are not encrypted, and browsers keep no Secure cookie for them."
        yield Finding("cors", Status.WARNING, told, "Have the shop answer by https alone, and name its https origin.")
    abroad = [one for one in origins if host and not is_same_site(origin(one)[1], host) and origin(one)[1] != host]
    if abroad:
        told = f"For pages of {', '.join(abroad)} the cookie of {host} is another site's, which browsers keep away."
        yield Finding("cors", Status.FAILURE, told, f"Reach the service at a host of that shop: {HOW_TO}")
    if not open_to_all and not abroad:
        yield Finding("cors", Status.OK, f"Pages of {', '.join(origins)} may call.")
