"""The example's orders are what they are said to be, and the demo proves what it claims."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from examples import reconcile
from examples.catalogue import DECIMALS
from examples.expected import (
    CHANGED,
    CLICK,
    COLUMNS,
    FAULTY,
    GROUPS,
    HELD,
    LARGE,
    MEDIA,
    MEDIA_OLD,
    PROMO,
    REPEATED,
    TOO_OLD,
    TOO_OLD_MEDIA,
    Line,
    Row,
    faults_of,
    read_lines,
    rows_of,
)
from examples.journey import cookie_value, landing_query
from examples.make_orders import ORDERS, REFERENCE_DAY, make_orders, render
from examples.service import KEY_FILE, ROOT
from tests.servers import alive, wait_until

REFERENCE = datetime.combine(REFERENCE_DAY, time(12), UTC)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
ORDER_FIELDS = {
    *("order_id", "event_date", "currency", "click_id", "promo_code", "media_id"),
    *("customer_id", "customer_status", "extra", "items"),
}


@pytest.fixture(scope="module")
def text() -> str:
    """The file as it lies in the repository."""
    return ORDERS.read_text("utf-8")


@pytest.fixture(scope="module")
def lines(text: str) -> list[Line]:
    """Its lines, on the reference day."""
    return read_lines(text, 0, REFERENCE)


@pytest.fixture(scope="module")
def orders(lines: list[Line]) -> list[dict[str, Any]]:
    """The orders that are recorded."""
    return [dict(line.order) for line in reconcile.accepted(lines)]


# The file -------------------------------------------------------------------------------------------------------


def test_the_file_is_what_the_generator_makes(text: str) -> None:
    """Whoever changes the one changes the other, and every run makes the same bytes."""
    assert render(make_orders()) == text
    assert ORDERS.read_bytes() == text.encode()


def test_every_line_is_the_body_of_a_post(text: str) -> None:
    """Nothing is in a line but what the API takes, and no reader of JSON could take it in two ways."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    for line in text.splitlines():
        body = json.loads(line, object_pairs_hook=unique, parse_constant=pytest.fail)
        assert body.keys() <= ORDER_FIELDS
        assert {key for item in body["items"] for key in item} <= {"sku", "category", "quantity", "amount", "extra"}


def test_there_are_enough_orders_of_every_kind(lines: list[Line]) -> None:
    """The demo shows all that can become of an order, in realistic proportions."""
    assert len(lines) >= 600
    counted = Counter(line.group for line in lines)
    least = {CLICK: 500, PROMO: 30, MEDIA: 20, LARGE: 1, MEDIA_OLD: 10, HELD: 30, TOO_OLD: 10, TOO_OLD_MEDIA: 5}
    least |= {REPEATED: 30, CHANGED: 3, FAULTY: 9}
    assert set(least) == set(GROUPS)
    assert all(counted[group] >= number for group, number in least.items())
    assert len(reconcile.accepted(lines)) >= 500


def test_currencies_zones_and_ages_vary(orders: list[dict[str, Any]]) -> None:
    """Amounts have no, two and three decimals, and times come from all over the world."""
    currencies = {order["currency"] for order in orders}
    assert {DECIMALS[one] for one in currencies} == {0, 2, 3}
    assert len(currencies) >= 8
    offsets = {re.sub(r".*:\d\d(\.\d+)?(?=[Z+-])", "", order["event_date"]) for order in orders}
    assert {"Z", "-08:00", "-03:30", "+05:30", "+09:00"} <= offsets
    ages = {(REFERENCE - datetime.fromisoformat(order["event_date"])).days for order in orders}
    assert min(ages) == 0
    assert len(ages & set(range(80))) > 60


def test_no_order_is_near_an_age_limit(orders: list[dict[str, Any]]) -> None:
    """What becomes of an order does not depend on the hour at which the demo is run, nor on the margin."""
    days = sorted((REFERENCE - datetime.fromisoformat(order["event_date"])).days for order in orders)
    assert not [age for age in days if 82 < age < 90 or 382 < age < 399]


def test_texts_are_as_awkward_as_real_ones(orders: list[dict[str, Any]]) -> None:
    """Commas, quotes, umlauts, emoji, and what a spreadsheet would take for a formula."""
    for name in ("sku", "category"):
        texts = "\n".join(item[name] for order in orders for item in order["items"])
        for pattern in (",", '"', "[äöüÄÖÜ]", "[\U0001f300-\U0001faff☕]", "(?m)^=", r"(?m)^[+@-]", "[一-龥]|[ء-ي]"):
            assert re.search(pattern, texts) or (name, pattern) == ("sku", "[一-龥]|[ء-ي]"), (name, pattern)


def test_click_ids_have_every_character_that_they_can_have(orders: list[dict[str, Any]]) -> None:
    """They go through links, cookies and files, which each have their own trouble with some of them."""
    clicks = [order["click_id"] for order in orders if "click_id" in order]
    assert all(re.fullmatch(r"[A-Za-z0-9._~:%+/=-]{1,64}", click) for click in clicks)
    assert set(".~_:%+/=-") <= set("".join(clicks))
    assert max(map(len, clicks)) == 64
    assert 1.02 < len(clicks) / len(set(clicks)) < 1.2  # some visitors order again by the same click


def test_items_are_many_in_one_order_and_the_same_twice_in_others(orders: list[dict[str, Any]]) -> None:
    """Orders of 300 items and lines with one SKU are among them."""
    assert max(len(order["items"]) for order in orders) == 300
    twice = [order for order in orders if len({item["sku"] for item in order["items"]}) < len(order["items"])]
    assert len(twice) >= 5


def test_amounts_come_as_text_and_as_numbers(orders: list[dict[str, Any]]) -> None:
    """Backends write the same amount in many ways."""
    kinds = Counter(type(item["amount"]) for order in orders for item in order["items"])
    assert set(kinds) == {str, int, Decimal}
    assert [order for order in orders if "extra" in order]
    assert [order for order in orders if "customer_status" in order]
    assert [item for order in orders for item in order["items"] if "extra" in item]


def test_repeats_are_written_the_same_and_otherwise(lines: list[Line], text: str) -> None:
    """An impatient checkout sends the very same bytes, another one the same meaning."""
    written = text.splitlines()
    first = {line.order["order_id"]: written[line.number - 1] for line in reversed(reconcile.accepted(lines))}
    repeats = [(first[line.order["order_id"]], written[line.number - 1]) for line in lines if line.group is REPEATED]
    assert [one for one, other in repeats if one == other]
    assert [one for one, other in repeats if one != other and list(json.loads(one)) != list(json.loads(other))]
    assert [one for one, other in repeats if amounts(one) != amounts(other)]


def amounts(line: str) -> list[Any]:
    """Return the amounts as they are written."""
    return [repr(item["amount"]) for item in json.loads(line)["items"]]


def test_only_faulty_orders_name_a_person(lines: list[Line]) -> None:
    """Customer ids say nothing about a person, and an address is among the faults that must not come through."""
    with_address = [line for line in lines if EMAIL.search(line.text)]
    assert with_address
    assert {line.group for line in with_address} == {FAULTY}


@pytest.mark.parametrize(
    "day", [REFERENCE_DAY, date(2026, 11, 22), date(2027, 3, 28), date(2028, 2, 29), date(2029, 1, 1)]
)
@pytest.mark.parametrize("moment", [time(0, 0), time(23, 59, 59)])
def test_the_file_can_be_played_on_any_day(text: str, lines: list[Line], day: date, moment: time) -> None:
    """Moved to today, no order lies in the future and each has the same fate; offset and time of day stay."""
    now = datetime.combine(day, moment, UTC)
    moved = read_lines(text, (day - REFERENCE_DAY).days, now)
    assert [line.group for line in moved] == [line.group for line in lines]
    for line, before in zip(moved, lines, strict=True):
        assert line.order["event_date"][10:] == before.order["event_date"][10:]
        assert line.order["order_id"] == before.order["order_id"]
    assert all(datetime.fromisoformat(line.order["event_date"]) < now for line in reconcile.accepted(moved))


# The demo's own eyes: each comparison sees what it is there for --------------------------------------------------


def csv_of(rows: list[Row]) -> bytes:
    """Write a file by hand."""

    def cell(value: str) -> str:
        return f'"{value.replace(chr(34), chr(34) * 2)}"' if re.search('[,"\r\n]', value) else value

    columns = [*COLUMNS, "PromoCode", "MediaId"]
    text = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    return "".join(",".join(map(cell, values)) + "\r\n" for values in text).encode()


@pytest.fixture(scope="module")
def rows(lines: list[Line]) -> list[Row]:
    """The lines that the files should have."""
    return [row for line in reconcile.sent(lines) for row in rows_of(line.order)]


def test_a_right_file_is_found_right(lines: list[Line], rows: list[Row]) -> None:
    """The comparison does not cry wolf, however the lines are spread over files."""
    for files in ([csv_of(rows)], [csv_of(rows[:100]), csv_of(rows[100:])]):
        assert not reconcile.check_rows(lines, files)
        assert not reconcile.check_money(lines, files)


def swapped(rows: list[Row]) -> list[Row]:
    """Return the lines with two of different orders exchanged."""
    return [rows[-1], *rows[1:-1], rows[0]]


def cent_moved(rows: list[Row]) -> list[Row]:
    """Return the lines with a cent moved from one to another, which no sum shows."""
    euros = [place for place, row in enumerate(rows) if row["CurrencyCode"] == "EUR"][:2]
    more = {euros[0]: Decimal("0.01"), euros[1]: Decimal("-0.01")}
    return [row | {"Amount": str(Decimal(row["Amount"]) + more.get(n, 0))} for n, row in enumerate(rows)]  # type: ignore[operator]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[-1]],
        lambda rows: rows[:0],
        swapped,
        cent_moved,
        lambda rows: [rows[0] | {"ClickId": rows[0].get("ClickId", "").lower() + "x"}, *rows[1:]],
        lambda rows: [row | {"EventDate": row["EventDate"].replace("+02:00", "+00:00")} for row in rows],
        lambda rows: [row | {"Sku": row["Sku"].lstrip("=")} for row in rows],
        lambda rows: [row | {"Amount": f"{Decimal(row['Amount']):.2f}"} for row in rows],
        lambda rows: [row | {"MediaId": ""} for row in rows],
    ],
)
def test_a_wrong_file_is_found(lines: list[Line], rows: list[Row], spoil: Callable[[list[Row]], list[Row]]) -> None:
    """Lost, doubled, exchanged and altered lines are all seen."""
    assert reconcile.check_rows(lines, [csv_of(spoil(rows))])


def test_lost_money_is_found(lines: list[Line], rows: list[Row]) -> None:
    """The sums per currency are compared too."""
    assert reconcile.check_money(lines, [csv_of(rows[:-1])])


def test_wrong_answers_are_found(lines: list[Line]) -> None:
    """A status that differs, an unnamed fault, a refusal without code, a repeat that is not called one."""
    right = [right_answer(line) for line in lines]
    assert not reconcile.check_answers(lines, right)
    for group, wrong in (
        (CLICK, {"status": 200}),
        (FAULTY, {"problem": {"code": "X"}}),
        (CHANGED, {"problem": {}}),
        (REPEATED, {"replayed": False}),
    ):
        place = next(number for number, line in enumerate(lines) if line.group is group)
        answers = [*right[:place], replace(right[place], **wrong), *right[place + 1 :]]
        assert len(reconcile.check_answers(lines, answers)) == 1


def right_answer(line: Line) -> reconcile.Answer:
    """Return what the contract says to a line."""
    errors = [{"code": "X", "pointer": pointer} for pointer in faults_of(line.order)]
    problem = {"code": "X", "errors": errors} if line.group.status > 400 else {}
    return reconcile.Answer(line.group.status, problem, line.group is REPEATED)


def test_wrong_states_are_found(lines: list[Line]) -> None:
    """An order that is lost, listed twice, invented or in another state is seen."""
    told = {reconcile.SENT: "accepted"}
    right = [
        (line.order["order_id"], told.get(str(line.group.state), str(line.group.state)))
        for line in reconcile.accepted(lines)
    ]
    counted = Counter(state for _, state in right)
    assert not reconcile.check_states(lines, right, counted)
    held = next(place for place, (_, state) in enumerate(right) if state == "held")
    for wrong in (right[1:], [*right, right[0]], [*right, ("INVENTED", "held")]):
        assert reconcile.check_states(lines, wrong, Counter(state for _, state in wrong))
    other = [*right[:held], (right[held][0], "expired"), *right[held + 1 :]]
    assert reconcile.check_states(lines, other, Counter(state for _, state in other))
    assert reconcile.check_states(lines, right, counted | {"held": 1})
    refused = [next(order_id for order_id, state in right if state == "accepted")]
    assert reconcile.check_states(lines, right, counted, refused)


def test_links_and_cookies_are_read_as_browsers_do() -> None:
    """A click id goes into a link encoded, and comes back in the cookie as it is."""
    click = "a:b%3A+/=~"
    queries = [landing_query(click, number) for number in range(10)]
    assert {query.partition("&")[0] for query in queries} == {
        "im_ref=a:b%253A+/=~",
        "im_ref=a%3Ab%253A%2B%2F%3D~",
        "irclickid=a%3Ab%253A%2B%2F%3D~",
    }
    assert cookie_value(["im_ref_at=1; Path=/", f"im_ref={click}; Path=/; Secure"]) == click
    assert cookie_value(['im_ref="a"; Path=/']) == '"a"'
    assert cookie_value([]) is None


# The demo itself ------------------------------------------------------------------------------------------------


def surroundings(elsewhere: Path) -> dict[str, Any]:
    """Return where the demo is run: `.env` and environment there hold settings of other services."""
    (elsewhere / ".env").write_text("CAPTURE_CAMPAIGN_ID=7\nCAPTURE_TYPING_EROR=1\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CAPTURE_MAX_ROWS": "1", "CAPTURE_NO_SUCH": "1"}
    return {"cwd": elsewhere, "env": environment, "stdin": subprocess.DEVNULL}


def demo(elsewhere: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the demo from `elsewhere`."""
    return subprocess.run(
        [sys.executable, "-m", "examples.demo", "--directory", str(directory)],
        **surroundings(elsewhere),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.mark.long
def test_the_demo_works_and_works_again(tmp_path: Path) -> None:
    """A newcomer sees every order accounted for, each time on fresh data, and can serve what the demo made."""
    directory = tmp_path / "var" / "demo"
    first, second = played_well(tmp_path, directory), played_well(tmp_path, directory)
    assert [str(file) in second for file in (directory / "outbox").iterdir()] == [True, True]
    assert first != second
    assert stat.S_IMODE((directory / KEY_FILE).stat().st_mode) == 0o600
    keys = plain_keys(directory)
    assert len(set(keys.values())) == 3
    assert not [name for name, key in keys.items() if key in second]
    assert not [file for file in directory.glob("*.log") for key in keys.values() if key in file.read_text("utf-8")]
    check_printed_commands(second, tmp_path, directory)


def played_well(elsewhere: Path, directory: Path) -> str:
    """Run the demo, see that it is content and has tidied up, and return what it printed."""
    ended = demo(elsewhere, directory)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Everything agrees" in ended.stdout
    assert "The loop is closed" in ended.stdout
    assert not running_in(directory)
    return ended.stdout


def plain_keys(directory: Path) -> dict[str, str]:
    """Return the keys that are kept for whoever looks at the result."""
    text = (directory / KEY_FILE).read_text("utf-8")
    return dict(re.findall(r"(?m)^(\w+_KEY)=(\S+)$", text))


def running_in(directory: Path) -> list[psutil.Process]:
    """Return the services that were started in `directory`."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == directory and alive(process):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found


def check_printed_commands(printed: str, elsewhere: Path, directory: Path) -> None:
    """Run the two lines that the demo prints at the end."""
    serve, ask = printed.splitlines()[-2:]
    url = re.findall(r'"(http://[^"]*)"', ask)[0]
    assert f"{url.partition('/orders')[0]}/dashboard, with the READ_KEY of" in printed
    around = surroundings(elsewhere)
    around["env"] = {name: value for name, value in around["env"].items() if not name.startswith("CAPTURE_")}
    with subprocess.Popen(serve, shell=True, **around, stderr=subprocess.DEVNULL, start_new_session=True) as service:  # noqa: S602
        try:
            wait_until(lambda: answers(f"{url.partition('/orders')[0]}/livez"), "the printed command does not serve")
            if shutil.which("curl"):
                said = subprocess.check_output(ask, shell=True, **around, stderr=subprocess.DEVNULL)  # noqa: S602
                assert json.loads(said)["items"][0]["state"] == "held"
            key = plain_keys(directory)["READ_KEY"]
            held = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False).json()["items"]
            assert {order["hold_reason"] for order in held} == {"no_attribution"}
        finally:
            os.killpg(service.pid, signal.SIGTERM)


def answers(url: str) -> bool:
    """Say whether somebody answers there."""
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Begin a demo, and wait until its visitors come."""
    directory = tmp_path / "demo"
    command = [sys.executable, "-m", "examples.demo", "--directory", str(directory)]
    with subprocess.Popen(
        command,
        **surroundings(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            log = directory / "service.log"
            wait_until(lambda: log.exists() and "/capture" in log.read_text("utf-8"), "no visitor lands")
            assert running_in(directory)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "interrupt",
    [lambda process: os.killpg(process.pid, signal.SIGINT), lambda process: process.terminate()],
    ids=["Ctrl-C, which reaches the service too", "SIGTERM"],
)
def test_an_interrupted_demo_leaves_no_service_behind(
    begun: subprocess.Popen[str], tmp_path: Path, interrupt: Callable[[subprocess.Popen[str]], None]
) -> None:
    """Whatever ends the demo ends its service, and is said in a sentence."""
    interrupt(begun)
    _, said = begun.communicate(timeout=60)
    assert begun.returncode == 1
    assert said == "Interrupted; the service is stopped.\n"
    assert not running_in(tmp_path / "demo")


def test_the_demo_touches_nobody_elses_folder(tmp_path: Path) -> None:
    """A folder that holds something else stays as it is."""
    (tmp_path / "demo.db").write_text("precious", encoding="utf-8")
    ended = demo(tmp_path, tmp_path)
    assert ended.returncode == 1
    assert "name another folder" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "demo.db").read_text("utf-8") == "precious"
