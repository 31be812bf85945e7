"""The loop closed over real sockets: ten thousand orders by every way out to the sandbox, with every fault planted.

At the end the shop, the service and the sandbox have the same orders, to the cent; every planted fault was found and
named, and what can be repaired went again by one file for each batch.
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.sandbox.options import Options
from app.sandbox.sandbox import Sandbox
from app.service import assemble
from tests.conftest import Clock
from tests.loop.merchant import Merchant, environment
from tests.support import EXPORT_KEY, ORDER_KEY

WAYS = {"bysftp": "sftp", "byftps": "ftps", "bymail": "email", "bypull": "folder", "byapi": "http_api"}
TRACKERS = {key: 5001 + number for number, key in enumerate(WAYS)}
DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}
REASONS = {
    "CONTRACT_NOT_FOUND": "ask_partner_manager",
    "ACTION_REF_NOT_FOUND": "fix_and_resend",
    "CREDITING_RULE_MISMATCH": "do_not_resend",
    "NEVER_HEARD_OF_2027": "ask_partner_manager",
}
"""Why orders are refused, and what is to be done then; the last one is on no list."""
STAYS = "CREDITING_RULE_MISMATCH"
MISDEEDS: list[dict[str, Any]] = [
    {"answer": "429", "method": "POST", "path": "Conversions", "times": 2},
    *(
        {"answer": kind, "method": "POST", "path": "Conversions", "times": 3}
        for kind in ("500", "503", "520", "redirect")
    ),
    *({"answer": kind, "method": "POST", "path": "Conversions", "times": 2} for kind in ("html", "truncated")),
    *({"answer": kind, "method": "POST", "path": "Conversions", "times": 3, "after": True} for kind in ("html", "cut")),
    {"answer": "truncated", "method": "POST", "path": "Conversions", "times": 2, "after": True},
    {"answer": "timeout", "method": "POST", "path": "Conversions", "times": 1, "seconds": 2},
    {"answer": "timeout", "method": "POST", "path": "Conversions", "times": 1, "seconds": 2, "after": True},
    *({"answer": kind, "method": "GET", "path": "Submissions", "times": 1} for kind in ("500", "html", "truncated")),
    *(
        {"answer": kind, "method": "GET", "path": "Submissions", "times": 1}
        for kind in ("huge", "cut", "redirect", "429")
    ),
]
Order = dict[str, Any]
Key = tuple[str, str]


def event_types() -> str:
    """Return an event type for each way out."""
    return "".join(
        f'[{key}]\ncampaign_id = 1000\naction_tracker_id = {TRACKERS[key]}\nchannel = "{channel}"\n'
        for key, channel in (WAYS | {"default": "sftp"}).items()
        if key in TRACKERS or TRACKERS.setdefault(key, 5000)
    )


def orders(count: int, now: datetime) -> list[Order]:
    """Return orders over all ways out, of one to three items, in currencies with other decimals."""
    draw, keys = random.Random(7), list(WAYS)
    return [
        {
            "event_type": keys[number % len(keys)],
            "order_id": f"O-{number:05}",
            "event_date": (now - timedelta(hours=draw.randrange(1, 500))).isoformat(),
            "currency": (currency := draw.choice(list(DECIMALS))),
            "click_id": f"click{number}",
            "customer_id": f"customer{number}",
            "items": [
                {
                    "sku": f"S{place}",
                    "category": "Tools",
                    "quantity": draw.randrange(1, 4),
                    "amount": str(Decimal(draw.randrange(1, 10**6)).scaleb(-DECIMALS[currency])),
                }
                for place in range(draw.randrange(1, 4))
            ],
        }
        for number in range(count)
    ]


def key_of(order: Order) -> Key:
    """Return the natural key of an order."""
    return order["event_type"], order["order_id"]


def worth(order: Order) -> tuple[str, Decimal]:
    """Return what an order is worth."""
    return order["currency"], sum((Decimal(item["amount"]) for item in order["items"]), Decimal(0))


@pytest.fixture
def hours() -> Clock:
    """The time of day, which passes as the test says."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def box(hours: Clock, tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with all its drops."""
    trackers = ",".join(f"{tracker}=1000" for tracker in TRACKERS.values())
    options = Options(campaigns="1000", trackers=f"{trackers},5000=1000", pull_folder=tmp_path / "outbox")
    with Sandbox(options, clock=hours) as running:
        yield running


@pytest.fixture
def merchant(
    box: Sandbox, hours: Clock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Merchant]:
    """A merchant's service that talks to it."""
    for name, value in environment(box, database_url, tmp_path, event_types()).items():
        monkeypatch.setenv(name, value)
    service = assemble()
    service.schema_is_checked = True
    with TestClient(create_app(service, with_worker=False), base_url="https://track.shop.example") as client:
        yield Merchant(service, client, box, hours)


@pytest.mark.long
def test_the_loop_closes(merchant: Merchant, box: Sandbox, hours: Clock, database_url: str) -> None:
    """Every order is accepted or refused for a reason that is named, and what is repaired is accepted in the end."""
    sold = orders(10_000 if database_url.startswith("sqlite") else 2_000, hours.now)
    refused = plant(box, sold)
    merchant.sell(sold)
    merchant.export()
    find_the_lost_file(merchant, box)
    merchant.settle()
    see_every_fault(merchant, sold, refused)
    repair(merchant, box, refused)
    taken = [order for order in sold if refused.get(key_of(order)) != STAYS]
    agree(box, taken)
    agree(box, give_back(merchant, taken))
    compare(merchant, sold, {key for key, reason in refused.items() if reason == STAYS})


def plant(box: Sandbox, sold: list[Order]) -> dict[Key, str]:
    """Plant every fault, and return the orders that are refused and why."""
    chosen = sold[3 :: len(sold) // 40 + 1]
    refused = {key_of(order): list(REASONS)[place % len(REASONS)] for place, order in enumerate(chosen)}
    box.plant(*({"reject": order_id, "reason": reason} for (_, order_id), reason in refused.items()))
    box.plant(*MISDEEDS, {"lose": "*_ActionData_bymail_*", "times": 1}, {"delay": 7_200, "file": "*_byftps_*"})
    return refused


def find_the_lost_file(merchant: Merchant, box: Sandbox) -> None:
    """Nobody hears of a file that got lost, but for the alarm a day later; then a person sends it again."""
    merchant.settle(lambda: merchant.clock.now > began(merchant) + timedelta(hours=26))
    [lost] = box.state()["lost_files"]
    assert [one for one in merchant.alarms() if lost in one["detail"]]
    [batch] = [one["id"] for one in merchant.listed("/batches") if one["filename"] == lost]
    merchant.call("POST", f"/batches/{batch}/redelivery", EXPORT_KEY, status=202)


def began(merchant: Merchant) -> datetime:
    """Return when the first batch was made."""
    first = next(iter(merchant.listed("/batches")))
    return datetime.fromisoformat(created(merchant, first["id"]))


def see_every_fault(merchant: Merchant, sold: list[Order], refused: dict[Key, str]) -> None:
    """Each order that was refused is shown as that, with the reason and what is to be done; all others are accepted."""
    states = merchant.states()
    assert states == {key_of(one): "rejected" if key_of(one) in refused else "accepted" for one in sold}
    for key, reason in refused.items():
        told = {(one["code"], one["next_step"]) for one in merchant.order(*key)["reasons"]}
        assert told == {(reason, REASONS[reason])}
    for reason in REASONS:
        assert list(merchant.listed("/submissions", reason=reason))


def repair(merchant: Merchant, box: Sandbox, refused: dict[Key, str]) -> None:
    """Correct what the shop can, let the partner manager do the rest, and send it again: a file for each batch."""
    box.desk.works.faults.clear()
    box.plant(*({"reject": order_id, "reason": STAYS} for (_, order_id), why in refused.items() if why == STAYS))
    batches: dict[str, list[str]] = {}
    for (event_type, order_id), reason in refused.items():
        if reason != STAYS:
            batch = merchant.order(event_type, order_id)["batch"]["id"]
            batches.setdefault(batch, []).append(order_id)
        if reason == "ACTION_REF_NOT_FOUND":
            path = f"/orders/{order_id}/attribution?event_type={event_type}"
            merchant.call("PUT", path, ORDER_KEY, {"click_id": f"corrected{order_id}"})
    for batch, order_ids in batches.items():
        body = {"order_ids": [one for one in order_ids if "ACTION_REF" not in refused[key_with(refused, one)]]}
        told = merchant.call("POST", f"/batches/{batch}/corrections", EXPORT_KEY, body, 201)
        assert (told["orders"], len(told["batches"])) == (len(order_ids), 1)
        assert merchant.call("POST", f"/batches/{batch}/corrections", EXPORT_KEY, {})["batches"] == []
    merchant.settle()
    states = merchant.states()
    assert {states[key] for key, reason in refused.items() if reason != STAYS} == {"accepted"}
    assert {states[key] for key, reason in refused.items() if reason == STAYS} == {"rejected"}


def give_back(merchant: Merchant, taken: list[Order]) -> list[Order]:
    """Give the first line of some orders back and others whole, by every way out; return what is left of all."""
    left = {key_of(order): order for order in taken}
    for place, order in enumerate(taken[7 :: len(taken) // 60]):
        event_type, order_id = key_of(order)
        path, items = f"/orders/{order_id}/reversals?event_type={event_type}", order["items"]
        some = {"items": [{"sku": items[0]["sku"]}]} if place % 2 and len(items) > 1 else {}
        merchant.call("POST", path, ORDER_KEY, {"reason": "ITEM_RETURNED"} | some, 202)
        gone = items[:1] if some else items
        back = [item | {"amount": "0", "quantity": 0} for item in gone]
        left[event_type, order_id] = order | {"items": back + items[len(gone) :]}
    merchant.export()
    merchant.settle()
    return list(left.values())


def compare(merchant: Merchant, sold: list[Order], stays: set[Key]) -> None:
    """The service's own comparison finds what is really so: all agree but the orders that stay refused."""
    days = sorted(datetime.fromisoformat(order["event_date"]).date() for order in sold)
    merchant.settle(lambda: not next_look(merchant))
    told = merchant.call("GET", f"/reconciliation?from={days[0]}&to={days[-1]}", EXPORT_KEY)
    differences = {(one["event_type"], one["order_id"]): one["kind"] for one in told["differences"]}
    assert differences == dict.fromkeys(stays, "rejected")
    assert told["too_young"] == 0


def next_look(merchant: Merchant) -> bool:
    """Say whether a day has still to pass until all that was sent can be expected at impact.com."""
    newest = max(datetime.fromisoformat(created(merchant, one["id"])) for one in merchant.listed("/batches"))
    return merchant.clock.now < newest + timedelta(hours=30)


def created(merchant: Merchant, batch: str) -> str:
    """Return when a batch was made."""
    return str(merchant.call("GET", f"/batches/{batch}", EXPORT_KEY)["created_at"])


def key_with(refused: dict[Key, str], order_id: str) -> Key:
    """Return the key of a refused order."""
    [found] = [key for key in refused if key[1] == order_id]
    return found


def agree(box: Sandbox, expected: list[Order]) -> None:
    """Hold the sandbox's actions against what the shop sold: each once, by its event type, to the cent and item."""
    actions = box.state()["actions"]
    keys = Counter((one["action_tracker_id"], one["order_id"]) for one in actions)
    assert keys == Counter((str(TRACKERS[one["event_type"]]), one["order_id"]) for one in expected)
    found = {one["order_id"]: one for one in actions}
    for order in expected:
        action = found[order["order_id"]]
        assert (action["currency"], Decimal(action["amount"])) == worth(order)
        items = {(one["sku"], int(one["quantity"]), Decimal(one["amount"])) for one in action["items"]}
        expected_items = {(one["sku"], one["quantity"], Decimal(one["amount"])) for one in order["items"]}
        assert items == expected_items or (action["state"] == "REVERSED" and worth(order)[1] == 0)
