"""Closes the loop: the sandbox takes the files as impact.com would, and refuses some orders; what can be repaired is.

The sandbox is a process of its own, which pulls the outbox and knows nothing of the service's rules. What it has in the
end is compared with what the shop sold, to the cent.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
from dotenv import dotenv_values

from examples.expected import ACTION_TRACKER_ID, CAMPAIGN_ID, CLICK, Line, totals
from examples.journey import Shop
from examples.reconcile import Batch, sent
from examples.service import (
    OUTBOX,
    SANDBOX_LOG,
    SANDBOX_SETTINGS,
    START_SECONDS,
    DemoFailed,
    command,
    environment,
    stop,
)

LONGEST_WAIT: Final = 90
ANSWERED: Final = frozenset({"accepted", "partly_rejected", "rejected"})

CONTRACT, CLICK_LOST, OTHER_PARTNER = "CONTRACT_NOT_FOUND", "ACTION_REF_NOT_FOUND", "CREDITING_RULE_MISMATCH"
REFUSALS: Final = {CONTRACT: 3, CLICK_LOST: 2, OTHER_PARTNER: 2}
"""So many orders each the sandbox is told to refuse, and why."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that runs: where it is, what it lets in, and the settings of a service that is to talk to it."""

    url: str
    login: tuple[str, str]
    settings: Mapping[str, str]

    def plant(self, faults: Sequence[Mapping[str, str]]) -> None:
        """Let it do something wrong, in place of what it did before."""
        httpx.delete(f"{self.url}/sandbox/faults", auth=self.login, trust_env=False).raise_for_status()
        httpx.post(f"{self.url}/sandbox/faults", auth=self.login, json=faults, trust_env=False).raise_for_status()

    def actions(self) -> list[Mapping[str, Any]]:
        """Return the actions that it has."""
        answer = httpx.get(f"{self.url}/sandbox/state", auth=self.login, timeout=30, trust_env=False)
        actions: list[Mapping[str, Any]] = answer.raise_for_status().json()["actions"]
        return actions


@contextmanager
def sandbox(directory: Path) -> Iterator[Sandbox]:
    """Run a sandbox that pulls the outbox every second; stop it in every case."""
    file = directory / SANDBOX_SETTINGS
    file.unlink(missing_ok=True)
    with (directory / SANDBOX_LOG).open("wb") as log:
        process = subprocess.Popen(
            command("sandbox", "--env-file", SANDBOX_SETTINGS, *_options()),
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(process, file, directory / SANDBOX_LOG)
            told = {name: value or "" for name, value in dotenv_values(file).items()}
            login = told["CAPTURE_IMPACT_ACCOUNT_SID"], told["CAPTURE_IMPACT_AUTH_TOKEN"]
            yield Sandbox(told["CAPTURE_IMPACT_API_URL"], login, told | _IMPATIENT)
        finally:
            stop(process)


_IMPATIENT: Final = {"CAPTURE_FILE_POLL_SECONDS": "1", "CAPTURE_CHANNEL": "folder"}


def _options() -> list[str]:
    drops = [part for drop in ("sftp", "ftps", "smtp") for part in (f"--{drop}-port", "-1")]
    account = ["--campaigns", CAMPAIGN_ID, "--trackers", f"{ACTION_TRACKER_ID}={CAMPAIGN_ID}"]
    return [*drops, *account, "--pull-folder", OUTBOX, "--pull-seconds", "1"]


def _wait_until_ready(process: subprocess.Popen[bytes], file: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not file.exists():
        if time.monotonic() > deadline or process.poll() is not None:
            raise DemoFailed(f"The sandbox did not start. {log} says:\n{log.read_text('utf-8', 'replace')[-500:]}")
        time.sleep(0.05)


# What is refused, and why -------------------------------------------------------------------------------------------


def planned_refusals(lines: Sequence[Line]) -> dict[str, str]:
    """Return the orders that are to be refused, and the reason of each."""
    orders = iter([line.order["order_id"] for line in sent(lines) if line.group is CLICK])
    return {next(orders): reason for reason, number in REFUSALS.items() for _ in range(number)}


def answered(shop: Shop) -> None:
    """Wait until it is known what became of every batch."""
    deadline = time.monotonic() + LONGEST_WAIT
    while waiting := [one["filename"] for one in shop.listed("/batches") if one["state"] not in ANSWERED]:
        if time.monotonic() > deadline:
            raise DemoFailed(f"Nothing was heard of {', '.join(waiting)} in {LONGEST_WAIT} seconds.")
        time.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason for which orders were refused, what it means and what is to be done, in the service's words."""

    code: str
    meaning: str
    next_step: str
    what_to_do: str


def refused(shop: Shop) -> dict[str, list[Refusal]]:
    """Return the orders that were refused, and why."""
    found = {}
    for one in shop.listed("/orders", state="rejected"):
        reasons = shop.read(f"/orders/{quote(one['order_id'], safe='')}").json()["reasons"]
        found[one["order_id"]] = [
            Refusal(*(reason[name] for name in ("code", "meaning", "next_step", "what_to_do"))) for reason in reasons
        ]
    return found


# The loop -----------------------------------------------------------------------------------------------------------


@dataclass
class Loop:
    """What is refused by plan, and what the service and the sandbox say of it as it goes on.

    `refused` by the service's words before the repairs, `still_refused` after them; `repairs` are the files of those.
    """

    planned: Mapping[str, str]
    refused: Mapping[str, Sequence[Refusal]] = field(default_factory=dict)
    still_refused: Mapping[str, Sequence[Refusal]] = field(default_factory=dict)
    repairs: Sequence[Batch] = ()
    actions: Sequence[Mapping[str, Any]] = ()

    def orders(self, reason: str) -> list[str]:
        """Return the orders that are refused for a reason by plan."""
        return [order_id for order_id, its in self.planned.items() if its == reason]

    def begin(self, box: Sandbox) -> None:
        """Let the sandbox refuse these orders and no others."""
        box.plant([{"reject": order_id, "reason": reason} for order_id, reason in self.planned.items()])

    def hear(self, shop: Shop) -> None:
        """Wait until it is known what became of everything, and keep what was refused."""
        answered(shop)
        self.refused = refused(shop)

    def repair(self, shop: Shop, box: Sandbox) -> None:
        """Repair what can be, the click ids by the shop, the contract there; send it again, and wait once more."""
        box.plant([{"reject": order_id, "reason": OTHER_PARTNER} for order_id in self.orders(OTHER_PARTNER)])
        for number, order_id in enumerate(self.orders(CLICK_LOST)):
            path = f"/orders/{quote(order_id, safe='')}/attribution"
            _ok(shop.send("PUT", path, shop.keys.order, {"click_id": f"CorrectedClick{number}"}))
        [batch] = {shop.read(f"/orders/{quote(one, safe='')}").json()["batch"]["id"] for one in self.orders(CONTRACT)}
        body = {"order_ids": self.orders(CONTRACT)}
        _ok(shop.send("POST", f"/batches/{batch}/corrections", shop.keys.export, body))
        answered(shop)

    def end(self, shop: Shop, box: Sandbox, repairs: Sequence[Batch]) -> None:
        """Keep what there is in the end."""
        self.still_refused, self.repairs, self.actions = refused(shop), repairs, box.actions()

    def told(self) -> Iterator[tuple[str, ...]]:
        """Yield how many orders were refused for a reason, what the service says of it, and what became of them."""
        for reason in {one.code: one for several in self.refused.values() for one in several}.values():
            orders = {one for one, several in self.refused.items() if reason in several}
            now = "as it was" if orders & self.still_refused.keys() else "accepted"
            yield str(len(orders)), reason.code, reason.meaning, reason.what_to_do, now

    def disagreements(self, lines: Sequence[Line]) -> list[str]:
        """Return a sentence for everything that is not as it was planned."""
        stay = {order_id: self.planned[order_id] for order_id in self.orders(OTHER_PARTNER)}
        wrong = check_refusals(self.planned, self.refused) + check_refusals(stay, self.still_refused)
        sizes = [batch.facts["orders"] for batch in self.repairs]
        if sizes != [len(self.planned) - len(stay)]:
            wrong.append(f"The repaired orders went again in files of {sizes}.")
        return wrong + check_actions(lines, list(stay), self.actions)


def _ok(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise DemoFailed(f"{answer.request.method} was answered {answer.status_code}: {answer.text[:200]}")


# Comparing ----------------------------------------------------------------------------------------------------------


def check_refusals(planned: Mapping[str, str], found: Mapping[str, Sequence[Refusal]]) -> list[str]:
    """Compare which orders were refused and why with what was planned."""
    wrong = [f"Order {one} was to be refused and was not." for one in planned.keys() - found.keys()]
    wrong += [f"Order {one} was refused and should not be." for one in found.keys() - planned.keys()]
    for order_id in planned.keys() & found.keys():
        codes = [one.code for one in found[order_id]]
        if set(codes) != {planned[order_id]}:
            wrong.append(f"Order {order_id} is refused for {codes}, not for {planned[order_id]}.")
    return wrong


def check_actions(lines: Sequence[Line], gone: Sequence[str], actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the sandbox's actions with the orders that were sent, those that stay refused aside: to the cent."""
    expected = {line.order["order_id"]: totals([line.order]) for line in sent(lines)}
    for order_id in gone:
        expected.pop(order_id)
    counted = Counter(one["order_id"] for one in actions)
    wrong = [f"The sandbox has {count} actions of order {one}." for one, count in counted.items() if count > 1]
    wrong += [f"The sandbox has no action of order {one}." for one in expected.keys() - counted.keys()]
    wrong += [f"The sandbox has order {one}, which was not sent." for one in counted.keys() - expected.keys()]
    for action in actions:
        amounts = {action["currency"]: Decimal(action["amount"])}
        if expected.get(action["order_id"], amounts) != amounts:
            wrong.append(f"Order {action['order_id']} is {amounts} at the sandbox, not {expected[action['order_id']]}.")
    return wrong
