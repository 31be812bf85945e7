"""The page on layouts and its example are what the service does."""

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.conversions.chain import about_parent
from app.event_type import EventType
from app.impact.columns import EXTRA, FILE_COLUMNS, OPTIONAL_COLUMNS
from app.main import create_app
from app.service import Service
from tests.support import ORDER_KEY, bearer, body

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference" / "layouts.md").read_text("utf-8")


@pytest.fixture
def settings(service: Service) -> Settings:
    """The service's settings with the event types of the example."""
    example = Settings.model_validate(
        {"event_types": ROOT / "examples" / "event-types.toml", "campaign_id": 1, "action_tracker_id": 2}
    )
    service.settings = service.settings.model_copy(update={"event_types": example.event_types})
    return service.settings


def test_the_example_has_every_layout(settings: Settings) -> None:
    """It can be taken as it is, ids aside."""
    assert {one.level for one in settings.event_types.values()} == set(FILE_COLUMNS)


@pytest.mark.parametrize("level", ["item", "order", "chained"])
def test_the_page_shows_the_headers(level: str) -> None:
    """Column by column."""
    assert f" `{','.join(FILE_COLUMNS[level])}` |" in PAGE


def test_the_page_s_chained_action_is_taken(service: Service, settings: Settings) -> None:
    """As it stands there, once its parent is recorded."""
    child = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    child["event_date"] = body()["event_date"]  # the page's may lie ahead of the clock
    assert settings.event_types
    with TestClient(create_app(service, with_worker=False)) as client:
        assert client.post("/orders", json=child, headers=bearer(ORDER_KEY)).json()["code"] == "PARENT_NOT_FOUND"
        parent = body("T-1", event_type="trial", customer_id=child["customer_id"])
        assert client.post("/orders", json=parent, headers=bearer(ORDER_KEY)).status_code == 201
        answer = client.post("/orders", json=child, headers=bearer(ORDER_KEY))
    assert (answer.status_code, answer.json()["hold_reason"]) == (201, "parent_not_delivered")


def test_the_page_names_every_refusal_of_a_chain() -> None:
    """Also those that the rules yield without a look at what is recorded."""
    types = {"a": EventType(campaign_id=1, action_tracker_id=2, level="chained")}
    codes = {fault.code for kind in ("a", "b") for fault in about_parent(("a", "1"), kind, "1", types)}
    assert codes == {"NOT_CHAINED", "PARENT_SAME_EVENT_TYPE", "PARENT_SAME_ORDER_ID"}
    others = {"CUSTOMER_ID_MISSING", "PARENT_CUSTOMER_DIFFERS", "PARENT_NOT_FOUND", "EVENT_CODE_MISSING"}
    assert [code for code in codes | others if f"`{code}`" not in PAGE] == []


def test_the_page_tells_which_parameters_of_apps_a_file_may_have() -> None:
    """What it calls a column is one, and what it calls none is none."""
    [row] = [line for line in PAGE.splitlines() if line.startswith("| mobile parameters |")]
    maybe, never = (re.findall(r"`([A-Z]\w+)`", part) for part in row.split("**try one file first**"))
    assert set(maybe) <= set(OPTIONAL_COLUMNS)
    assert len(maybe) == 8
    assert set(never) <= set(EXTRA) - set(OPTIONAL_COLUMNS)
    assert len(never) == 7
