"""The API is what its document says: invented calls, right and wrong ones, are answered as described."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.config import Settings
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.errors import PROBLEM_JSON
from app.main import create_app, openapi
from app.security import hash_of
from app.service import Service
from tests.servers import served
from tests.support import PUBLIC, bearer

KEY = "key-with-every-right"


@pytest.fixture(scope="module")
def schema(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    """The document of a service that runs."""
    folder = tmp_path_factory.mktemp("openapi")
    shutil.copy(migrated_sqlite, folder / "openapi.db")
    url, stored = f"sqlite:///{folder / 'openapi.db'}", f"sha256:{hash_of(KEY)}"
    keys = {f"{right}_keys": (stored,) for right in ("order", "export", "read")}
    values: dict[str, Any] = {"database_url": SecretStr(url), "campaign_id": 1000, "action_tracker_id": 4321, **keys}
    values |= {"spool_path": folder / "spool", "journal_path": folder / "journal"}
    channel = FolderChannel(FolderSettings(path=folder / "outbox"))
    service = Service(Settings.model_validate(values), Database(url), {"folder": channel}, schema_is_checked=True)
    with served(create_app(service)) as address:  # with a worker, so that who waits for an export does not wait in vain
        found = schemathesis.openapi.from_url(f"{address}/openapi.json")
        found.config.generation.update(allow_extra_parameters=False, with_security_parameters=False)
        yield found


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: object, value: object) -> bytes:
    """Send whatever was invented as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


DOCUMENT = openapi()
CALLS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


def can_be_wrong(call: dict[str, Any]) -> bool:
    """Say whether the document calls any value of this call wrong; of plain text it does not."""
    schemas = [one["schema"] for one in call.get("parameters", [])]
    schemas += [
        one["schema"] for kind, one in call.get("requestBody", {}).get("content", {}).items() if kind.endswith("/json")
    ]
    plain = {"type", "title", "description", "default", "minLength"}
    return any(schema.get("type") != "string" or not schema.keys() <= plain for schema in schemas)


CAN_BE_WRONG = [(path, method) for path, method in CALLS if can_be_wrong(DOCUMENT["paths"][path][method])]
MODES = [(path, method, GenerationMode.POSITIVE) for path, method in CALLS]
MODES += [(path, method, GenerationMode.NEGATIVE) for path, method in CAN_BE_WRONG]
BOUNDED = settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize(("path", "method", "mode"), MODES)
def test_every_call_is_answered_as_described(schema: BaseSchema, path: str, method: str, mode: GenerationMode) -> None:
    """No server error, only described statuses and shapes, and nothing accepted that the document calls wrong.

    What the document cannot express (a date in the future, an id that exists) may be refused.
    """
    headers = {} if path in PUBLIC else bearer(KEY)

    @given(schema[path][method].as_strategy(generation_mode=mode))
    @BOUNDED
    def call(case: Case[Any]) -> None:
        # The client writes a blank as a plus, and a plus is a plus to us: it may stand in a click id.
        becomes_right = path == "/capture" and any(" " in str(value) for value in case.query.values())
        also = [negative_data_rejection] if becomes_right else []
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance, *also])

    call()


@pytest.mark.parametrize(("path", "method"), [call for call in CALLS if call[0] not in PUBLIC])
def test_without_a_key_nothing_private_is_answered(schema: BaseSchema, path: str, method: str) -> None:
    """Whatever else is right or wrong with a call: 401, the same for all, and nothing learned."""
    cases = [schema[path][method].as_strategy(generation_mode=mode) for *call, mode in MODES if call == [path, method]]

    @given(st.one_of(cases))
    @BOUNDED
    def call(case: Case[Any]) -> None:
        answer = case.call(headers={"Authorization": ""})
        assert (answer.status_code, answer.headers["content-type"]) == (401, [PROBLEM_JSON])

    call()


def test_an_answer_that_is_not_described_is_found() -> None:
    """The negative control: a service that breaks its own document does not pass."""
    liar = FastAPI()

    @liar.get("/number", responses={200: {"content": {"application/json": {"schema": {"type": "integer"}}}}})
    def number() -> JSONResponse:
        return JSONResponse("not a number")

    @given(schemathesis.openapi.from_asgi("/openapi.json", liar)["/number"]["GET"].as_strategy())
    @settings(BOUNDED, max_examples=1)
    def call(case: Case[Any]) -> None:
        case.call_and_validate()

    with pytest.raises(FailureGroup):
        call()
