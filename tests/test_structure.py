"""The guard rails: imports go one way, every route is guarded, every setting is documented, money is no float."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic_settings import BaseSettings
from sqlalchemy import Float, Numeric, Table

from app.config import Settings
from app.delivery.channels import CHANNELS
from app.main import create_app, openapi
from app.service import Service
from app.tables import METADATA
from tests.support import PUBLIC

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"

# Imports ----------------------------------------------------------------------------------------------------------

STAGES = (
    "impact",
    "check",
    "clicks",
    "conversions",
    "batches",
    "delivery",
    "submissions",
    "actions",
    "ledger",
    "alarms",
    "privacy",
    "dashboard",
)
"""From left to right; a folder may import those to its left."""
SHARED = frozenset(
    {
        *(
            "config",
            "database",
            "egress",
            "errors",
            "event_type",
            "lane",
            "logs",
            "many_rows",
            "metrics",
            "migrations",
            "promo_code",
        ),
        *("security", "setting_types", "strict_json", "thin", "web", "write_lock"),
    }
)
"""Modules that every room may use; of the rooms they may use `impact` alone."""
SEE_ALL = frozenset(
    {
        *("__main__", "cli", "main", "service", "tables", "worker", "watcher", "clerk", "purge", "health", "doctor"),
        *("figures", "import_command", "results_command", "order_commands", "reconcile_command", "person_commands"),
    }
)
"""Modules that put the rooms together; no room may import them."""

STORES = frozenset(
    {
        *("store", "group_store", "spool", "snippet_store", "totals_store", "journal_store", "lines_store", "facts"),
        *("corrections_store", "modifications_store", "parents_store", "moved_store", "deadlines_store"),
        *("calls_store", "budget_store", "explain_store", "reconcile_store"),
        *("follow_store", "record_store", "verdicts_store", "listing_store"),
        *("terms_store", "standings_store", "session_store", "persons_store", "search_store", "moments_store"),
        *("overview_store", "frequency_store", "figures_store"),
    }
)
VERBS = frozenset(
    {
        *("check", "capture", "handoff", "keeper", "replay", "release", "record", "recorder", "build", "deliver"),
        *("heartbeat", "hold", "recover", "resume", "intake", "orders", "exports", "totals", "watch", "outage"),
        *("notify", "corrections", "correction_answer", "revise", "amend", "commit", "exporter"),
        *("imports", "intake_table", "deadlines", "api", "calling", "collect"),
        *("follow", "file_submissions", "listing", "by_hand"),
        *("hold_corrections", "standing", "repair", "repair_orders", "reissue", "explain"),
        *("erase", "files", "key", "spooled", "person", "clear"),
        *("read", "actions", "reconcile", "report", "balance", "side_files", "daily"),
        *("search", "terms", "standings"),
        *("pages", "sessions", "forms", "overview"),
        *("frequency", "batch_list", "desk", "order_page"),
    }
)
"""Use cases, and in the ledger the views that are read for them."""
IMPURE = ("sqlalchemy", "sqlmodel", "fastapi", "starlette", "pydantic_settings", "app.config", "app.database")
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time")}
APART = "sandbox"
"""The stand-in for impact.com, which nothing of the service knows and which knows nothing of the service."""


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every module of the service under its dotted name."""
    for path in sorted(APP.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports(path: Path) -> set[str]:
    """Return every module that a module imports, those in functions and behind conditions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
    return found


def room(module: str) -> str:
    """Return the folder below app, or the module's own name if it lies in none."""
    return [*module.split("."), ""][1]


def layer(module: str) -> int:
    """Return 0 for a noun, 1 for a store, 2 for a verb, 3 for routes."""
    name = module.rsplit(".", 1)[1]
    return 3 if name.endswith("routes") else 2 if name in VERBS else 1 if name in STORES else 0


IN_ROOMS = [name for name in MODULES if room(name) in STAGES and name.count(".") > 1]


def test_every_module_has_its_room() -> None:
    """A new folder or a new module beside the folders is thought about here."""
    assert {room(name) for name in MODULES if name != "app"} == {*STAGES, *SHARED, *SEE_ALL, APART}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    """A stage knows those before it and none after it."""
    used = {room(name) for name in imports(MODULES[module]) if name.startswith("app.")}
    if room(module) in STAGES:
        assert used <= {*STAGES[: STAGES.index(room(module)) + 1], *SHARED}
    elif room(module) in SHARED:
        assert used <= {*SHARED, "impact"}


def test_the_sandbox_has_no_rule_of_the_service_and_the_service_none_of_the_sandbox() -> None:
    """A fault in the one does not hide in the other: they share the lists of impact.com's codes, which are no code."""
    own = {name: imports(path) for name, path in MODULES.items() if room(name) == APART}
    used = {one for found in own.values() for one in found if one.startswith("app.")}
    assert {one for one in used if room(one) != APART} == {"app.errors"}
    users = [
        name for name, path in MODULES.items() if name not in own and any(room(one) == APART for one in imports(path))
    ]
    assert users == ["app.cli"]


@pytest.mark.parametrize("module", IN_ROOMS)
def test_within_a_room_rules_know_no_records_and_records_no_use_case(module: str) -> None:
    """Noun, store, verb, routes: each may import those before it, and its like."""
    inside = [name for name in imports(MODULES[module]) if room(name) == room(module) and name in IN_ROOMS]
    assert [name for name in inside if layer(name) > layer(module)] == []


NOUNS = [name for name in IN_ROOMS if layer(name) == 0 and ".channels" not in name]


@pytest.mark.parametrize("module", NOUNS)
def test_rules_are_pure(module: str) -> None:
    """What decides has no database, web framework or settings, so that a table of cases tests it."""
    used = imports(MODULES[module])
    wrong = [name for name in used if any(name == one or name.startswith(f"{one}.") for one in IMPURE)]
    stores = [name for name in used if name.startswith("app.") and name.endswith(".store")]
    assert (wrong, stores) == ([], [])


@pytest.mark.parametrize("module", [name for name in IN_ROOMS if layer(name) < 3])
def test_time_is_an_argument(module: str) -> None:
    """Only routes and what puts the service together look at a clock."""
    calls = [
        node.func for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    looks = [
        (func.value.id, func.attr)
        for func in calls
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)
    ]
    assert [look for look in looks if look in CLOCKS] == []


@pytest.mark.parametrize("module", [name for name in IN_ROOMS if layer(name) == 1])
def test_stores_open_no_transactions(module: str) -> None:
    """Who calls them decides what belongs together."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"transaction", "snapshot", "commit", "rollback"}


# Routes -----------------------------------------------------------------------------------------------------------

DOCUMENTATION = {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}

MAY = {
    ("POST", "/orders"): {"order"},
    ("POST", "/orders/bulk"): {"order"},
    ("POST", "/orders/{order_id}/modifications"): {"order"},
    ("POST", "/orders/{order_id}/reversals"): {"order"},
    ("POST", "/orders/{order_id}/refunds"): {"order"},
    ("GET", "/orders"): {"order", "read"},
    ("GET", "/orders/{order_id}"): {"order", "read"},
    ("PUT", "/orders/{order_id}"): {"order"},
    ("PUT", "/orders/{order_id}/attribution"): {"order"},
    ("POST", "/exports"): {"export"},
    ("GET", "/exports/{export_id}"): {"export", "read"},
    ("GET", "/batches"): {"export", "read"},
    ("GET", "/batches/{batch_id}"): {"export", "read"},
    ("GET", "/batches/{batch_id}/file"): {"export", "read"},
    ("POST", "/batches/{batch_id}/redelivery"): {"export"},
    ("POST", "/batches/{batch_id}/confirmation"): {"export"},
    ("GET", "/submissions"): {"export", "read"},
    ("GET", "/submissions/{submission_id}"): {"export", "read"},
    ("POST", "/batches/{batch_id}/corrections"): {"export"},
    ("GET", "/orders/{order_id}/explanation"): {"order", "read"},
    ("GET", "/orders/{order_id}/evidence"): {"order", "read"},
    ("GET", "/totals"): {"export", "read"},
    ("GET", "/reconciliation"): {"export", "read"},
    ("GET", "/alarms"): {"export", "read"},
}
"""Who may call what, as the contract has it; test_roles.py has everybody try everything."""


def described() -> set[tuple[str, str]]:
    """Return method and path of every call in the OpenAPI document."""
    return {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods}


def test_no_name_of_ours_is_in_a_client() -> None:
    """Generated clients get classes of plain names: no two shapes share one, which would add the modules' names."""
    assert [name for name in openapi()["components"]["schemas"] if "__" in name] == []


def routed(app: FastAPI) -> set[str]:
    """Return every path that the application itself would answer."""
    return {path for route in app.routes for path in _paths(route)}


def _paths(route: object) -> Iterator[str]:
    if (path := getattr(route, "path", None)) is not None:
        yield path
    inner = getattr(route, "original_router", None) or getattr(route, "app", None)
    for one in getattr(inner, "routes", []):
        yield from _paths(one)


def test_every_call_is_public_on_purpose_or_has_its_rights_here(service: Service) -> None:
    """A new route is not forgotten: it is in neither list until somebody says who may call it."""
    assert {call for call in described() if call[1] not in PUBLIC} == set(MAY)
    answered = {path for path in routed(create_app(service, with_worker=False)) if not path.startswith("/dashboard")}
    assert answered == PUBLIC | DOCUMENTATION | {path for _, path in MAY}  # tests/dashboard has the pages


# Settings ---------------------------------------------------------------------------------------------------------

CLASSES: list[type[BaseSettings]] = [Settings, *(settings for settings, _ in CHANNELS.values())]
VARIABLES = [
    f"{one.model_config.get('env_prefix', '')}{field.rstrip('_')}".upper()
    for one in CLASSES
    for field in one.model_fields
]


@pytest.mark.parametrize("document", ["docs/reference/settings.md", ".env.example"])
def test_every_setting_is_documented(document: str) -> None:
    """What can be set is on the page of settings and in the example of a `.env`."""
    text = (ROOT / document).read_text("utf-8")
    assert [name for name in VARIABLES if name not in text] == []


def test_the_example_of_an_env_file_names_nothing_else() -> None:
    """A setting that was renamed is renamed there too, since unknown ones are refused."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = {line.lstrip("#").partition("=")[0] for line in lines if line.lstrip("#").startswith("CAPTURE_")}
    assert named == set(VARIABLES)


# Tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_money_is_never_a_float(table: Table) -> None:
    """No column is a float or a NUMERIC, which SQLite keeps as one; and every table has a primary key."""
    assert [column.name for column in table.columns if isinstance(column.type, Numeric | Float)] == []
    assert len(table.primary_key.columns) > 0


def test_no_module_calls_float() -> None:
    """Amounts are Decimal or whole numbers, everywhere."""
    for name, path in MODULES.items():
        calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        assert not [func for func in calls if isinstance(func, ast.Name) and func.id == "float"], name
