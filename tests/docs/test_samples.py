"""Every sample and every name in the pages is one that works: who copies it gets what the page says."""

import io
import itertools
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from fastapi.testclient import TestClient
from markdown_it import MarkdownIt

from app.check.check import report
from app.config import Settings
from app.conversions.mapping import read_mapping
from app.conversions.order_body import Rules, read_order
from app.event_type import EventType
from app.main import create_app, openapi
from app.security import hash_of
from app.service import Service
from handbook.commands import commands
from handbook.settings import fields
from tests.conversions.test_order_file import read
from tests.docs.samples import DOCS, PAGES, ROOT, Sample, samples
from tests.support import NOW, ORDER_KEY, bearer

SAMPLES: Final = list(samples())
COMMANDS: Final = dict(commands())
TARGETS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
RECIPES: Final = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "recipes").glob("*.py"))
PROSE: Final = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""The changelog names what there was."""
CALLS: Final = [(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods]
ELSEWHERE: Final = ("/sandbox", "/faults")
"""Paths of the sandbox, which has no such document."""


TYPES: Final = {
    "default": EventType(campaign_id=1000, action_tracker_id=4321),
    "trial": EventType(campaign_id=1000, action_tracker_id=4400),
    "paid": EventType(campaign_id=1000, action_tracker_id=4401, level="chained"),
}
ORDERS: Final = Rules(dict.fromkeys(TYPES), max_items=9_999, event_types=TYPES)


# Shells -----------------------------------------------------------------------------------------------------------


def check_command(words: list[str]) -> None:
    """Assert that a command is one, with these options."""
    program = Path(words[0]).name
    if program == "make":
        named = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        assert set(named) <= TARGETS, words
    elif program == "conversion-capture":
        name = next(
            one for one in (" ".join([program, *words[1:3]]), " ".join([program, *words[1:2]])) if one in COMMANDS
        )
        known = {option for one in COMMANDS[name].params for option in (*one.opts, *one.secondary_opts)}
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known | {"--help"}, words
    elif program == "export":
        assert {word.partition("=")[0] for word in words[1:]} <= set(fields()), words


def check_shell(sample: Sample, tmp_path: Path) -> None:
    """Assert that a shell could read it, and that what it says of this service is so."""
    if sample.language == "sh":
        subprocess.run(["/bin/sh", "-n"], input=sample.code.encode(), check=True)
    if not sample.name:
        for words in sample.commands():
            check_command(words)


# Data -------------------------------------------------------------------------------------------------------------


def check_json(sample: Sample, tmp_path: Path) -> None:
    """Assert that it is JSON, each key once; what looks like an order is one."""
    said = json.loads(sample.code, object_pairs_hook=_once)
    if {"order_id", "items"} <= set(said):
        assert read_order(sample.code.encode(), ORDERS, NOW).order_id == said["order_id"]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def check_toml(sample: Sample, tmp_path: Path) -> None:
    """Assert that the service reads it: event types, rules for promo codes, or the mapping of a file."""
    said = tomllib.loads(sample.code)
    if isinstance(said.get("columns"), dict):
        assert read_mapping(sample.code).columns
        return
    kind = "promo_codes" if "rules" in said else "event_types"
    file = tmp_path / "sample.toml"
    file.write_text(sample.code, "utf-8")
    needed = {"campaign_id": 1, "action_tracker_id": 2}
    types = {rule["event_type"]: needed for rule in said.get("rules", []) if "event_type" in rule}
    Settings.model_validate(needed | ({"event_types": types} if types else {}) | {kind: file})


def check_settings(sample: Sample, tmp_path: Path) -> None:
    """Assert that every line sets something that there is."""
    if sample.name and not sample.name.startswith("."):
        check_recipe(sample, tmp_path)
        return
    lines = [line for line in sample.code.splitlines() if line and not line.startswith("#")]
    assert {line.partition("=")[0] for line in lines} <= set(fields())


def check_csv(sample: Sample, tmp_path: Path) -> None:
    """Assert that an import reads it, or that `conversion-capture check` finds nothing that impact.com would refuse."""
    if sample.page.endswith("import-files.md"):
        assert all(entry.order for entry in read(sample.code))
        return
    file, found = tmp_path / "sample.csv", io.StringIO()
    file.write_text(sample.code, "utf-8")
    assert not report(file, now=NOW, as_json=False, out=found), found.getvalue()


def check_yaml(sample: Sample, tmp_path: Path) -> None:
    """Assert that it is YAML of more than one text."""
    assert isinstance(yaml.safe_load(sample.code), dict)


def check_python(sample: Sample, tmp_path: Path) -> None:
    """Assert that it can be compiled."""
    compile(sample.code, str(sample), "exec")


class _Scripts(HTMLParser):
    """The attributes of the script elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a script's attributes."""
        if tag == "script":
            self.found.append(dict(attrs))


def check_html(sample: Sample, tmp_path: Path) -> None:
    """Assert that it loads the snippet, with attributes that it reads; the tags of a recipe are tried in a browser."""
    if sample.name:
        check_recipe(sample, tmp_path)
        return
    page, snippet = _Scripts(), (ROOT / "app" / "clicks" / "snippet.js").read_text("utf-8")
    page.feed(sample.code)
    [script] = page.found
    assert str(script["src"]).endswith("/capture.js")
    assert all(name.removeprefix("data-") in snippet for name in script if name.startswith("data-"))


def check_recipe(sample: Sample, tmp_path: Path) -> None:
    """Assert that a test of the recipes runs it, by its name."""
    assert f'"{sample.name}"' in RECIPES or f'"{Path(sample.name).name}"' in RECIPES


def check_usage(sample: Sample, tmp_path: Path) -> None:
    """Assert that it tells how a command is written."""
    assert sample.code.split(" [")[0].strip() in COMMANDS or any(sample.code.startswith(name) for name in COMMANDS)


def check_drawing(sample: Sample, tmp_path: Path) -> None:
    """Assert that what names no language is a drawing, and nothing that somebody would copy."""
    assert set(sample.code) & set("─►▼│")


CHECKS: Final[dict[str, Callable[[Sample, Path], None]]] = {
    "sh": check_shell,
    "console": check_shell,
    "crontab": check_shell,
    "json": check_json,
    "toml": check_toml,
    "ini": check_settings,
    "csv": check_csv,
    "yaml": check_yaml,
    "python": check_python,
    "html": check_html,
    "text": check_usage,
    "": check_drawing,
    **dict.fromkeys(("js", "php", "nginx", "caddyfile", "sshd", "pam"), check_recipe),
}
"""A sample of another language fails, until somebody says how it is checked."""


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_sample_is_what_it_says(sample: Sample, tmp_path: Path) -> None:
    """Commands with their options, settings, JSON, TOML, tables, code: none is of a version that is gone."""
    CHECKS[sample.language](sample, tmp_path)


# Calls ------------------------------------------------------------------------------------------------------------


def curls(page: Path) -> list[list[str]]:
    """Return the curl commands of a page, in their order."""
    shells = [one for one in SAMPLES if one.page == str(page.relative_to(ROOT)) and one.language in {"sh", "crontab"}]
    return [words for one in shells if not one.name for words in one.commands() if words[0] == "curl"]


SERVICE: Final = re.compile(r"http://127\.0\.0\.1:8000|https://track\.shop\.example")
"""Where the pages say that the service is."""
WITH_CALLS: Final = [page for page in PAGES if curls(page)]


def send(client: TestClient, words: list[str]) -> Any:
    """Send what a curl command would send, with the key of this test, at this time and without waiting."""
    text = [word.replace("$(date -u +%Y-%m-%dT%H:%M:%S+00:00)", datetime.now(UTC).isoformat()) for word in words]
    pairs = list(itertools.pairwise(text))
    headers = dict(value.split(": ", 1) for flag, value in pairs if flag == "-H")
    data = next((value for flag, value in pairs if flag == "-d"), None)
    method = next((value for flag, value in pairs if flag == "-X"), "POST" if data else "GET")
    [target] = [word[found.end() :] for word in text if (found := SERVICE.match(word))]
    if "Authorization" in headers:
        headers |= bearer(ORDER_KEY)
    return client.request(method, target.replace("wait=60", "wait=0"), content=data, headers=headers)


@pytest.fixture
def one_key(service: Service) -> Service:
    """The service as `make serve` sets it up: one key for everything."""
    hashes = (hash_of(ORDER_KEY),)
    rights = {"order_keys": hashes, "export_keys": hashes, "read_keys": hashes}
    service.settings = service.settings.model_copy(update=rights)
    return service


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("page", WITH_CALLS, ids=lambda page: page.name)
def test_the_calls_of_a_page_are_answered(one_key: Service, page: Path) -> None:
    """Each as it stands there, one after the other; an order that the page only speaks of may not be there."""
    with TestClient(create_app(one_key, with_worker=False), base_url="http://127.0.0.1:8000") as client:
        for words in curls(page):
            answer = send(client, words)
            known = answer.status_code < 400 or answer.json()["code"] in {"ORDER_NOT_FOUND", "ACTION_NOT_FOUND"}
            assert known, (words, answer.text)


# Names in the text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_and_commands_that_a_page_names_are_there(page: Path) -> None:
    """Nobody is sent to a setting, a command, an option or a target of make that does not exist."""
    text = page.read_text("utf-8")
    settings = set(re.findall(r"\bCAPTURE_[A-Z_]*[A-Z]\b(?![_…<*])", text))
    assert settings - set(fields()) - {"CAPTURE_URL", "CAPTURE_KEY"} == set()
    for inline in re.findall(r"`((?:make|conversion-capture) [a-z][^`]*)`", text):
        check_command(shlex.split(re.sub(r"[\[\]]", "", inline)))


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_calls_that_a_page_names_are_there(page: Path) -> None:
    """A method and a path in the text are a call of the API."""
    named = re.findall(r"`(GET|POST|PUT|DELETE) (/[a-z][^`?\s]*)", page.read_text("utf-8"))
    unknown = [one for one in named if not one[1].startswith(ELSEWHERE) and not any(_same(one, call) for call in CALLS)]
    assert unknown == []


def _same(named: tuple[str, str], call: tuple[str, str]) -> bool:
    """Whether a call is this one, whatever its placeholders are called."""
    plain = [re.sub(r"\{\w+\}", "{}", path.rstrip("/")) for path in (named[1], call[1])]
    shape = re.sub(r"\\\{\\\}", "[^/]+", re.escape(plain[1]))
    return named[0] == call[0] and re.fullmatch(shape, plain[0]) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sample_hides_behind_an_indent(page: Path) -> None:
    """A sample without a fence names no language, so that nobody would check it."""
    tokens = MarkdownIt().parse(page.read_text("utf-8"))
    assert [token.content for token in tokens if token.type == "code_block"] == []


def test_there_is_something_to_check() -> None:
    """The search for samples finds them."""
    assert len(SAMPLES) > 60
    assert len(WITH_CALLS) > 3
    assert DOCS.is_dir()
