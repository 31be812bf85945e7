"""The log: JSON lines in the order of events, whichever way they are written."""

import json
import subprocess
import sys

SCRIPT = """
import asyncio, logging
from app import logs

async def life():
    logger = logging.getLogger("app.web")
    for number in range(3):
        logs.log_request(f"{number:032x}", "GET", "/capture", 204, 1.5)
    logger.info("request", extra={
        "request_id": "f" * 32, "method": "GET", "route": "/capture", "status": 204, "ms": 1.5,
    })
    logs.log_request("e" * 32, "POST", "/orders", 201, 0.1)
    await asyncio.sleep(0)
    logging.getLogger("app").setLevel(logging.WARNING)
    logs.log_request("d" * 32, "POST", "/orders", 201, 0.1)
    await asyncio.sleep(0)

logs.configure()
asyncio.run(life())
"""


def test_lines_of_requests_are_like_all_others_and_in_order() -> None:
    """They are written by a shorter way: same fields, same time format, none lost, none before its turn or too much."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["request_id"][-1] for line in lines] == ["0", "1", "2", "f", "e"]
    short, long = lines[2], lines[3]
    assert list(short) == list(long)
    differing = {"request_id", "timestamp"}
    assert {name: short[name] for name in short if name not in differing} == {
        name: long[name] for name in long if name not in differing
    }
    for line in lines:
        assert len(line["timestamp"]) == len("2026-11-27T10:00:00.000000Z")
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)


QUOTING = """
import logging
from app import logs

logs.configure()
logger = logging.getLogger("app.some")
logger.warning("alarm.raised", extra={"detail": "Order jane.doe+x@buyer.example of batch b@1 waits.", "number": 7})
try:
    raise ValueError("no\\nDETAIL:  Failing row contains (7, customer-1).\\nCONTEXT:  COPY, column x: customer-2")
except ValueError:
    logger.exception("worker.failed")
"""


def test_what_others_quote_of_people_is_dropped() -> None:
    """An order's id that is an e-mail address, in whatever sentence, and the row that a database shows."""
    done = subprocess.run([sys.executable, "-c", QUOTING], capture_output=True, check=True, text=True, timeout=60)
    told, failed = [json.loads(line) for line in done.stderr.splitlines()]
    assert told["detail"] == "Order (e-mail) of batch b@1 waits."
    assert "ValueError: no" in failed["exception"]
    assert "customer-" not in done.stderr
