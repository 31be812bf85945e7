"""Which settings are secret, and whether a secret can be found anywhere, also encoded.

`python -m tests.canary ARGUMENTS` is `conversion-capture ARGUMENTS` with every logger, the libraries' too, at DEBUG.
"""

import base64
import json
import logging
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin
from urllib.parse import quote, quote_plus

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from app import cli, logs
from app.config import PREFIX, Settings
from app.delivery.channels import CHANNELS
from tests.servers import HOST, free_port, wait_until

ROOT: Final = Path(__file__).parent.parent
SECONDS: Final = 60.0
CLASSES: Final[tuple[type[BaseSettings], ...]] = (Settings, *(settings for settings, _ in CHANNELS.values()))
EDGE: Final = 4
"""Characters at either end of a base64 text that depend on what stands before and after."""


def variable(settings: type[BaseSettings], field: str) -> str:
    """Return the variable that a field is read from."""
    return f"{settings.model_config.get('env_prefix', PREFIX)}{field.rstrip('_')}".upper()


def secret_settings() -> set[str]:
    """Return the variables whose values are secret, as their types say."""
    return {variable(one, name) for one in CLASSES for name, hint in _hints(one) if holds_secret(hint)}


def _hints(settings: type[BaseSettings]) -> Iterator[tuple[str, Any]]:
    return ((name, field.annotation) for name, field in settings.model_fields.items())


def holds_secret(hint: Any) -> bool:
    """Say whether values of a type are, or contain, secrets."""
    if get_origin(hint) in {Annotated, Union, UnionType, tuple, list, dict}:
        return any(holds_secret(part) for part in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, SecretStr)


def environment_of(settings: BaseSettings) -> dict[str, str]:
    """Return the variables that say what settings say; defaults are left to themselves."""
    kind = type(settings)
    given = ((name, getattr(settings, name), field) for name, field in kind.model_fields.items())
    return {variable(kind, name): _text(value) for name, value, field in given if value != field.default}


def _text(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def forms(secret: str) -> set[bytes]:
    """Return how a secret may look in a text: as it is, escaped, quoted, in hex and in base64 at any offset."""
    raw = secret.encode()
    texts = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), raw.hex()}
    texts |= {quote_plus(secret), secret.encode().decode("latin-1")}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        texts |= {encode(bytes(offset) + raw).decode()[EDGE if offset else 0 : -EDGE] for offset in range(3)}
    return {text.encode() for text in texts}


def found(secrets: Mapping[str, str], places: Mapping[str, bytes]) -> list[str]:
    """Return where which secret stands."""
    looked_for = {name: forms(secret) for name, secret in secrets.items()}
    return [
        f"{name} in {place}"
        for place, content in places.items()
        for name, texts in looked_for.items()
        if any(text in content for text in texts)
    ]


def files_below(folder: Path) -> dict[str, bytes]:
    """Return every file in a folder, and the names of all of them."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths} | {"the names": "\n".join(map(str, paths)).encode()}


def new(name: str) -> str:
    """Return a secret that can be told from any other text."""
    return f"canary-{name.lower()}-{secrets.token_hex(12)}"


@dataclass
class Run:
    """One merchant's service: what it is given, what must not be seen again, and everything that was seen."""

    folder: Path
    environment: dict[str, str]
    secrets: dict[str, str]
    seen: dict[str, bytes] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def keys(self) -> dict[str, str]:
        """The callers' keys by right."""
        return {right: self.secrets[f"key {right}"] for right in ("ORDER", "EXPORT", "READ")}

    def see(self, name: str, content: bytes) -> None:
        """Keep something that came out."""
        self.seen[f"{len(self.seen)} {name}"] = content

    def command(self, *arguments: str) -> None:
        """Run a command, whatever it says."""
        command = [sys.executable, "-m", "tests.canary", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, timeout=SECONDS, check=False
        )
        self.see(" ".join(arguments), done.stdout + done.stderr)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"} | self.environment

    @contextmanager
    def serving(self, **changes: str) -> Iterator[httpx.Client]:
        """Serve, with changes to the settings, and keep what it logs and answers."""
        self.environment |= changes
        log = self.folder / f"log-{len(self.seen)}"
        command = [sys.executable, "-m", "tests.canary", "serve", "--host", HOST, "--port", str(self.port)]
        with log.open("wb") as output, self._client() as client:
            process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=output, stderr=output)
            try:
                wait_until(lambda: process.poll() is not None or answers(client), "the service does not answer")
                assert process.poll() is None, log.read_text("utf-8")
                yield client
                process.terminate()
                assert process.wait(SECONDS) == 0
            finally:
                process.kill()
                process.wait()

    def _client(self) -> httpx.Client:
        def keep(answer: httpx.Response) -> None:
            self.see(f"{answer.request.method} {answer.request.url}", answer.read() + str(answer.headers).encode())

        return httpx.Client(base_url=f"http://{HOST}:{self.port}", timeout=SECONDS, event_hooks={"response": [keep]})


def answers(client: httpx.Client) -> bool:
    """Say whether the service lives."""
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


def main() -> None:
    """Run the command with everything said that can be said."""
    configure = logs.configure

    def configure_all(level: int = logging.DEBUG) -> None:
        configure(min(level, logging.DEBUG))
        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger("uvicorn").setLevel(logging.DEBUG)

    logs.configure = configure_all
    cli.main()


if __name__ == "__main__":
    main()
