"""How often a client may call, counted in this process's memory, and nothing about the client but a keyed hash."""

import hashlib
import math
import secrets
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.errors import Failure

# The library looks through a whole storage at each call, so there are many small ones.
SHARDS: Final = 64
MAX_COUNTERS: Final = 256
"""Counters of a shard, two for a client; one that has more starts over, which lets clients through."""


class RateLimited(Failure):
    """A client calls too often."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "RATE_LIMITED"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many calls from this address; repeat the call in {retry_after} seconds.")
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Say when to come back."""
        return {"Retry-After": str(self.retry_after)}


class RateLimit:
    """Counts each client's calls in a sliding window; for the event loop's thread alone."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._key = secrets.token_bytes(32)
        self._shards = [_Shard() for _ in range(SHARDS)]

    async def over(self, address: str, now: float) -> RateLimited | None:
        """Count a call; return the refusal if it is one too many, which is not counted."""
        client = hashlib.blake2b(client_of(address).encode("utf-8", "replace"), key=self._key, digest_size=16).digest()
        shard = self._shards[client[0] % SHARDS]
        if len(shard.storage.storage) >= MAX_COUNTERS:
            shard = self._shards[client[0] % SHARDS] = _Shard()
        if await shard.limiter.hit(self._rate, client.hex()):
            return None
        stats = await shard.limiter.get_window_stats(self._rate, client.hex())
        return RateLimited(min(max(1, math.ceil(stats.reset_time - now)), self._rate.get_expiry()))


class _Shard:
    """Some of the clients."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.limiter = SlidingWindowCounterRateLimiter(self.storage)


def client_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, an IPv6 network of 64 bits (one household), else the text."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found.packed[:8] + bytes(8), 64)))
