"""A client that calls too often is told to wait; others, and visitors on their way, are not."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from app.clicks.limiter import MAX_COUNTERS, SHARDS, RateLimit, client_of
from tests.clicks.shop import ID, STOREFRONT, Shop

LINKED = "https://linked.example/"


def calls(limit: RateLimit, *addresses: str) -> list[bool]:
    """Return which of the calls were let through."""

    async def run() -> list[bool]:
        now = datetime.now(UTC).timestamp()
        return [await limit.over(one, now) is None for one in addresses]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_what_is_one_client(address: str, client: str) -> None:
    """A household's IPv6 network is one, however many addresses it has."""
    assert client_of(address) == client


def test_each_client_has_its_own_count() -> None:
    """Three calls an hour: the fourth is refused, and nobody else's."""
    limit = RateLimit("3/hour")
    one, two = "192.0.2.1", "2001:db8::1"
    assert calls(limit, one, one, one, one, two, "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:0:1::1") == [
        *(True, True, True, False),
        *(True, True, True, False),
        True,
    ]


def test_the_refusal_says_when_to_come_back() -> None:
    """Within the window, and not at once."""

    async def run() -> int:
        limit, now = RateLimit("1/hour"), datetime.now(UTC).timestamp()
        assert await limit.over("192.0.2.1", now) is None
        refused = await limit.over("192.0.2.1", now)
        assert refused is not None
        return int(refused.headers["Retry-After"])

    assert 1 <= asyncio.run(run()) <= 3_600


def test_memory_is_bounded() -> None:
    """A hundred thousand clients leave no more counters than there may be, and are let through."""
    limit = RateLimit("1/day")
    assert all(calls(limit, *(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(100_000))))
    assert sum(len(shard.storage.storage) for shard in limit._shards) <= SHARDS * MAX_COUNTERS


def test_no_address_is_kept() -> None:
    """What is counted under is a keyed hash, another one in each process."""
    limit = RateLimit("1/day")
    calls(limit, "192.0.2.77")
    assert "192.0.2.77" not in str([vars(shard.storage) for shard in limit._shards])


@pytest.fixture
def limited_shop(shop: Shop) -> Iterator[Shop]:
    """A shop whose visitors may call twice a day."""
    state = shop.client.transport.app.state  # type: ignore[attr-defined]
    state.rate_limit = RateLimit("2/day")
    yield shop
    state.rate_limit = None


def test_too_many_landings(limited_shop: Shop) -> None:
    """429 with a time; the page that called may read why; nothing is set or stored."""
    client = limited_shop.client
    for number in range(2):
        assert client.get(f"/capture?im_ref=id{number}").status_code == 204
    for answer in (
        client.get(f"/capture?im_ref={ID}", headers={"origin": STOREFRONT}),
        client.post("/capture", json={"im_ref": ID}, headers={"origin": STOREFRONT}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert answer.headers["content-type"] == "application/problem+json"
        assert 1 <= int(answer.headers["retry-after"]) <= 86_400
        assert answer.headers["access-control-allow-origin"] == STOREFRONT
        assert "set-cookie" not in answer.headers
        assert "127.0.0.1" not in answer.text
    assert [row.click_id for row in limited_shop.rows()] == ["id0", "id1"]


def test_a_visitor_on_the_way_is_not_stopped(limited_shop: Shop) -> None:
    """The redirect goes on without the click; `/handoff` counts too, and a wrong address stays a 400."""
    client = limited_shop.client

    def handed() -> httpx.Response:
        return client.get("/handoff", params={"to": LINKED}, headers={"cookie": f"im_ref={ID}"})

    assert ID in handed().headers["location"]
    assert ID in handed().headers["location"]
    assert (handed().status_code, handed().headers["location"]) == (302, LINKED)
    answer = client.get("/capture", params={"im_ref": ID, "to": f"{STOREFRONT}/"})
    assert (answer.status_code, answer.headers["location"]) == (302, f"{STOREFRONT}/")
    assert "set-cookie" not in answer.headers
    assert limited_shop.rows() == []
    assert client.get("/handoff", params={"to": "https://evil.example/"}).status_code == 400
    assert client.get("/capture", params={"im_ref": ID, "to": "https://evil.example/"}).status_code == 400


def test_without_the_setting_nobody_is_counted(shop: Shop) -> None:
    """By default a proxy does it, or nobody."""
    assert {shop.client.get("/capture").status_code for _ in range(200)} == {204}
