"""The ready dashboard and alert rules ask for numbers that exist, and every number is explained."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml  # type: ignore[import-untyped]
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app import metrics
from app.alarms.alarm import Kind
from app.clicks.capture import Outcome
from app.conversions.record import record
from app.delivery import budget_store
from app.delivery.budget import Told, minute_of
from app.main import create_app
from app.service import Service
from tests.support import NOW, order

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "how-to" / "monitoring.md").read_text("utf-8")
NUMBERS = (DOCS / "reference" / "metrics.md").read_text("utf-8")
BY_PROMETHEUS = {"up": {"job", "instance"}}
TARGET = {"job", "instance"}
"""The labels that a scrape adds."""

Labels = dict[str, set[str]]


@cache
def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    document = yaml.safe_load((DOCS / "monitoring" / "alerts.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@cache
def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads((DOCS / "monitoring" / "grafana.json").read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """Return what shows something."""
    return [one for one in dashboard()["panels"] if one["type"] != "row"]


def expressions() -> Iterator[str]:
    """Yield every expression, with an interval where Grafana puts its own."""
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        yield from (one["expr"].replace("$__rate_interval", "5m").replace("$job", ".*") for one in panel["targets"])


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: names depend on none."""
    return sqlite_url


@pytest.fixture
def exported(service: Service) -> dict[str, Labels]:
    """Every number of a real answer, with its labels and their values, each label having had its values."""
    account = {"impact_account_sid": "IR1", "impact_auth_token": SecretStr("t")}
    service.settings = service.settings.model_copy(update=account)
    with service.database.transaction() as session:
        budget_store.lock(session)
        budget_store.note(session, Told(limit=1000, remaining=900, resets_at=NOW + timedelta(minutes=9)))
        budget_store.spend(session, minute_of(NOW))
    record(service.database, [order()], NOW)
    for landing in Outcome:
        metrics.count_landing(landing)
    for outcome in ("delivered", "failed", "unknown"):
        metrics.count_attempt("folder", outcome)
    metrics.count_reasons(["other"])
    metrics.count_call("GET", "taken")
    metrics.count_request("/orders", 503)
    metrics.show_alarms(dict.fromkeys(Kind, 0))
    with TestClient(create_app(service, with_worker=False)) as client:
        text = client.get("/metrics").text
    found: dict[str, Labels] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = found.setdefault(one.name, {})
            for name, value in one.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def selectors(node: Any) -> Iterator[Any]:
    """Yield every selector in an expression."""
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if inner := getattr(node, name, None):
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


def aggregated(node: Any) -> Iterator[str]:
    """Yield every label that an expression groups by."""
    if isinstance(node, promql.AggregateExpr) and node.modifier:
        yield from node.modifier.labels
    for name in ("expr", "lhs", "rhs"):
        if inner := getattr(node, name, None):
            yield from aggregated(inner)


def test_every_expression_asks_for_what_there_is(exported: dict[str, Labels]) -> None:
    """A misspelt name or label would be a chart that is empty and an alert that never comes."""
    seen = set()
    for text in expressions():
        expression = promql.parse(text)
        found = list(selectors(expression))
        assert found, text
        for one in found:
            seen.add(one.name)
            labels = exported[one.name] if one.name in exported else {key: set() for key in BY_PROMETHEUS[one.name]}
            for matcher in one.matchers.matchers:
                assert matcher.name in {*labels, *TARGET}, text
                if matcher.name not in TARGET:
                    assert any(_matches(matcher, value) for value in labels[matcher.name]), (text, matcher.value)
        known = {*TARGET, *(label for one in found for label in exported.get(one.name, {}))}
        assert set(aggregated(expression)) <= known, text
    ours = {name for name in exported if name.startswith("capture_")}
    assert ours - seen == set(), "numbers that neither a chart nor a rule has"


def _matches(matcher: Any, value: str) -> bool:
    if matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe):
        return bool(re.fullmatch(matcher.value, value)) is (matcher.op == promql.MatchOp.Re)
    return (matcher.value == value) is (matcher.op == promql.MatchOp.Equal)


def test_every_number_is_explained(exported: dict[str, Labels]) -> None:
    """With its labels; and nothing is explained that is no more."""
    rows = re.findall(r"^\| `(capture_\w+)` \| ([^|]*) \|", NUMBERS, re.MULTILINE)
    explained = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert explained == {name: set(labels) for name, labels in exported.items() if name.startswith("capture_")}


def test_every_alert_says_what_to_do() -> None:
    """In a section of its own, to which it links."""
    names = [rule["alert"] for rule in rules()]
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(names)
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/monitoring.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_the_dashboard_can_be_imported() -> None:
    """It names no data source of somebody's, panels do not overlap, and each says what it shows."""
    assert [one["name"] for one in dashboard()["templating"]["list"]] == ["datasource", "job"]
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert len({one["id"] for one in dashboard()["panels"]}) == len(dashboard()["panels"])
    taken: set[tuple[int, int]] = set()
    for one in dashboard()["panels"]:
        place = one["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, one["title"]
        taken |= cells
        assert place["x"] + place["w"] <= 24
    assert all(one["title"] and one["targets"] for one in panels())
