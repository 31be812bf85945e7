"""The checkout backend in three languages: which click id it reads, and that its orders are recorded once."""

import json
import random
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clicks.click import visitors_click
from app.clicks.cookie import CookieRule, kept_clicks
from tests.recipes.recipe import UGLY, blocks, changed, service
from tests.servers import HOST, free_port
from tests.support import ORDER_KEY, bearer, body
from tests.system import program

READ = {
    "checkout.py": """
import json, sys
from checkout import click_id
print(json.dumps([click_id(header, now) for header, now in json.load(sys.stdin)]))
""",
    "checkout.mjs": """
import fs from 'node:fs';
import { clickId } from './checkout.mjs';
console.log(JSON.stringify(JSON.parse(fs.readFileSync(0)).map(([header, now]) => clickId(header, now))));
""",
    "checkout.php": """
require 'checkout.php';
$cases = json_decode(file_get_contents('php://stdin'));
echo json_encode(array_map(fn ($case) => click_id($case[0], $case[1]), $cases));
""",
}
POST = {
    "checkout.py": """
import json, sys
from checkout import post_order
try:
    post_order(json.load(sys.stdin), int(sys.argv[1]))
    print("recorded")
except ValueError as error:
    print(error)
except ConnectionError:
    print("not known")
""",
    "checkout.mjs": """
import fs from 'node:fs';
import { postOrder } from './checkout.mjs';
try {
  await postOrder(JSON.parse(fs.readFileSync(0)), Number(process.argv[1]));
  console.log('recorded');
} catch (error) {
  console.log(error.refused ? error.message : 'not known');
}
""",
    "checkout.php": """
require 'checkout.php';
try {
    post_order(json_decode(file_get_contents('php://stdin'), true), (int) $argv[1]);
    echo 'recorded';
} catch (DomainException $error) {
    echo $error->getMessage();
} catch (RuntimeException) {
    echo 'not known';
}
""",
}
RUN: dict[str, Callable[[str], list[str]]] = {
    "checkout.py": lambda code: [sys.executable, "-W", "error", "-c", code],
    "checkout.mjs": lambda code: [program("node"), "--input-type=module", "-e", code, "--"],
    "checkout.php": lambda code: [program("php"), "-n", "-r", code, "--"],
}
SOON = {  # before the second try; the recipe waits seconds
    "checkout.py": {"2.0**number": "0.1"},
    "checkout.mjs": {"2 ** number": "0.1"},
    "checkout.php": {"sleep($wait)": "usleep(100000)"},
}


@pytest.fixture(
    params=[
        "checkout.py",
        pytest.param("checkout.mjs", marks=pytest.mark.system),
        pytest.param("checkout.php", marks=pytest.mark.system),
    ]
)
def language(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The backend's language, with its code of the recipe in the test's folder."""
    name: str = request.param
    (tmp_path / name).write_text(changed(blocks("checkout.md")[name], SOON[name]), "utf-8")
    return name


def read(language: str, folder: Path, cases: list[tuple[str, int]]) -> list[str | None]:
    """Return what the recipe reads from each Cookie header, at each time."""
    command = RUN[language](READ[language])
    done = subprocess.run(command, cwd=folder, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: list[str | None] = json.loads(done.stdout)
    return found


NOW = 1_795_000_000
CASES = [
    (None, ""),
    (None, "session=1; xim_ref=a; im_ref"),
    ("a+b%2B", "session=1; im_ref=a+b%2B; im_ref_at=1"),
    ("a", "im_ref=a"),
    (None, 'im_ref="a"'),
    (None, "im_ref=" + "a" * 65),
    ("new", "im_ref=old; im_ref=new; im_ref_at=5; im_ref_at=6"),
    ("old", f"im_ref=old; im_ref=forged; im_ref_at=5; im_ref_at={NOW + 1}"),
    ("dated", "im_ref=undated; im_ref=dated; im_ref_at=x; im_ref_at=1"),
    ("first", "im_ref=first; im_ref=second; im_ref_at=7; im_ref_at=7"),
    ("first", "im_ref=first; im_ref=second"),
    ("good", "im_ref=<script>; im_ref=good; im_ref_at=9; im_ref_at=1"),
]


def test_the_stated_rule(language: str, tmp_path: Path) -> None:
    """Wrong values are ignored, the newest counts, the future does not, of equals the first."""
    headers = [(header, NOW) for _, header in CASES]
    assert read(language, tmp_path, headers) == [expected for expected, _ in CASES]


def test_the_value_is_the_click_id(language: str, tmp_path: Path) -> None:
    """Nothing is decoded or unquoted."""
    assert read(language, tmp_path, [(f"im_ref={one}; im_ref_at=1", NOW) for one in UGLY]) == list(UGLY)


def random_header(random_: random.Random) -> str:
    """Return a Cookie header with several cookies of the two names, broken ones among them."""
    ids = [*UGLY, "a", "b", "", '"a"', "a b", "ä", "a,b", "a" * 65, "=", " a", "a ", "a\t"]
    times = ["", "0", "5", str(NOW), str(NOW + 1), "-1", "1.5", "007", "9" * 12, "9" * 13, "x", "٣"]
    parts = [f"im_ref={random_.choice(ids)}" for _ in range(random_.randrange(4))]
    parts += [f"im_ref_at={random_.choice(times)}" for _ in range(random_.randrange(4))]
    parts += [random_.choice(["", "session=im_ref=a", "im_ref", "IM_REF=a", " im_ref =a", "im_refx=a"])]
    random_.shuffle(parts)
    return random_.choice(["; ", ";", " ; ", ";;"]).join(parts)


def test_checkout_and_service_agree(language: str, tmp_path: Path) -> None:
    """Whatever a browser sends, the order gets the click that the service takes for the visitor's."""
    headers = [random_header(random.Random(number)) for number in range(2_000)]
    rule = CookieRule("im_ref", ("auto",), secure=True, http_only=False)
    expected = [visitors_click(kept_clicks(header, rule), now=NOW, window=10**12) for header in headers]
    found = read(language, tmp_path, [(header, NOW) for header in headers])
    assert found == [one and one.click_id for one in expected]
    assert len(set(found)) > 10


def post(language: str, folder: Path, port: int, order: dict[str, Any], tries: int = 1_000) -> "subprocess.Popen[str]":
    """Post an order with the recipe."""
    environment = {"CAPTURE_URL": f"http://{HOST}:{port}", "CAPTURE_KEY": ORDER_KEY}
    command = [*RUN[language](POST[language]), str(tries)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdin
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    process.stdin = None
    return process


def said(process: "subprocess.Popen[str]") -> str:
    """Return what the recipe made of it."""
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return output.strip()


def test_an_order_whose_answer_got_lost_is_posted_until_it_is_recorded(language: str, tmp_path: Path) -> None:
    """The first connection ends without an answer, then nobody listens, then the service is there: one order."""
    order, port = body(), free_port()
    with socket.create_server((HOST, port)) as listener:
        process = post(language, tmp_path, port, order)
        connection, _ = listener.accept()
        connection.recv(65_536)
        connection.close()
    with service(tmp_path, port) as started:
        assert said(process) == "recorded"
        assert said(post(language, tmp_path, port, order)) == "recorded"
        listed = httpx.get(f"{started.url}/orders", headers=bearer(ORDER_KEY)).json()["items"]
        assert [one["order_id"] for one in listed] == [order["order_id"]]


def test_what_repeating_does_not_help_is_not_repeated(language: str, tmp_path: Path) -> None:
    """A changed order is refused with 409 at once; while the database is locked nothing is known."""
    order, other = body(), body("A-1002")
    with service(tmp_path) as started:
        assert said(post(language, tmp_path, started.port, order)) == "recorded"
        changed_order = body(currency="EUR")
        began = time.monotonic()
        assert said(post(language, tmp_path, started.port, changed_order)).startswith("order refused: 409")
        assert time.monotonic() - began < 30
        lock = sqlite3.connect(started.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            assert said(post(language, tmp_path, started.port, other, tries=1)) == "not known"
        finally:
            lock.rollback()
            lock.close()
        assert said(post(language, tmp_path, started.port, other)) == "recorded"
