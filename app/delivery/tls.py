"""Encryption that is worth its name: certificate and host name verified, TLS 1.2 or newer."""

import ssl
from pathlib import Path

from app.errors import Misconfigured


def verified(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Return a context that believes the system's authorities, or those of a PEM file instead. Raises Misconfigured."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError):  # an ssl.SSLError is an OSError
        raise Misconfigured(f"{setting}: {ca_file} cannot be read as certificates in PEM format.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
