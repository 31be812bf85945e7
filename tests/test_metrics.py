"""Numbers for Prometheus: what a merchant's alarms go by, and nothing about a visitor."""

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import FATES


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Return every number by its name and the values of its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_landings_notes_and_requests_are_counted(client: TestClient) -> None:
    """A landing shows in all three, each time by one."""
    before = samples(client)
    client.get("/capture?im_ref=secret-id&url=https://secret.example/")
    after = samples(client)
    grown = {name: after[name] - before.get(name, 0) for name in after if name[0].startswith("capture_")}
    assert grown["capture_notes_total", "stored"] + grown["capture_notes_total", "spooled"] == 1
    assert grown["capture_requests_total", "/capture", "204"] == 1
    assert sum(number for name, number in grown.items() if name[0] == "capture_landings_total") == 1
    assert "secret" not in client.get("/metrics").text


def test_every_fate_is_there_before_its_first_note(client: TestClient) -> None:
    """A rate can be told from the first loss on, and the spool's room is known."""
    found = samples(client)
    assert {name[1] for name in found if name[0] == "capture_notes_total"} == set(FATES)
    assert found["capture_spool_limit_bytes",] == 64 * 1024 * 1024
    assert found["capture_spool_notes",] == found["capture_spool_bytes",] == 0
    assert found["process_resident_memory_bytes",] > 0


def test_strangers_cannot_fill_it(client: TestClient) -> None:
    """Paths that nobody serves, and ids in paths that somebody does, make no new lines."""
    for path in ("/nothing", "/nothing/else", "/orders/one", "/orders/two"):
        client.get(path)
    routes = {name[1] for name in samples(client) if name[0] == "capture_requests_total"}
    assert {"", "/orders/{order_id}"} <= routes
    assert not {"/nothing", "/orders/one"} & routes
