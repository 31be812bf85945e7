"""A browser's cookie jar as RFC 6265 has it (and 6265bis: host-only cookies are apart), for one path, `/`."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Jar:
    """Cookies by name, domain and whether they are for that host only; in the order of their creation."""

    cookies: dict[tuple[str, str, bool], tuple[str, int]] = field(default_factory=dict)

    def set(self, host: str, header: str, now: int) -> None:
        """Do what a Set-Cookie from `host` asks for, if a browser would."""
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        given = dict(one.partition("=")[::2] for one in attributes)
        assert given["Path"] == "/"
        domain = given.get("Domain", host)
        if domain != host and not host.endswith(f".{domain}"):
            return
        key, ends = (name, domain, "Domain" not in given), now + int(given["Max-Age"])
        if ends > now:
            self.cookies[key] = (value, ends)
        else:
            self.cookies.pop(key, None)

    def apply(self, host: str, headers: Iterable[str], now: int) -> None:
        """Do what an answer asks for, in its order."""
        for one in headers:
            self.set(host, one, now)

    def header(self, host: str, now: int) -> str:
        """Return the Cookie header that goes to `host`."""
        sent = [
            f"{name}={value}"
            for (name, domain, host_only), (value, ends) in self.cookies.items()
            if ends > now and (host == domain or (not host_only and host.endswith(f".{domain}")))
        ]
        return "; ".join(sent)
