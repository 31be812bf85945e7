"""The real service in a process of its own."""

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import free_port

START_SECONDS = 30


@contextmanager
def serving(url: str, **settings: str) -> Iterator[int]:
    """Serve on this database without a worker, and give the port; settings are given as `CAPTURE_ORDER_KEYS="..."`."""
    with tempfile.TemporaryDirectory(prefix="conversion-capture-spool-") as spool:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CAPTURE_")}
        environment = inherited | {
            "CAPTURE_DATABASE_URL": url,
            "CAPTURE_CAMPAIGN_ID": "1000",
            "CAPTURE_ACTION_TRACKER_ID": "4321",
            "CAPTURE_SPOOL_PATH": spool,
            **settings,
        }
        command, port = [sys.executable, "-m", "app.cli"], free_port()
        subprocess.run([*command, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        service = subprocess.Popen(
            [*command, "serve", "--no-worker", "--port", str(port)], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            wait(port)
            yield port
        finally:
            service.terminate()
            service.wait(30)


def wait(port: int) -> None:
    """Return when the service takes orders."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz/orders")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the service did not start")
