"""The console command `sandbox`."""

import inspect
import os
from collections.abc import Callable
from dataclasses import fields
from logging import ERROR, getLogger
from pathlib import Path
from shlex import quote
from signal import SIGINT, SIGTERM, signal
from threading import Event
from typing import Annotated, Any, get_type_hints

import typer

from app.errors import Misconfigured
from app.sandbox.options import Options


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of Options, beside its own."""
    own = list(inspect.signature(command).parameters.values())[:-1]
    hints = get_type_hints(Options, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(one.name, kind, default=one.default, annotation=hints[one.name]) for one in fields(Options)
    ]
    command.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined] # functions may have one
    command.__annotations__ = {one.name: one.annotation for one in (*own, *more)}
    return command


@_with_options
def sandbox(
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the settings of a service that is to talk to it there.")
    ] = None,
    **options: Any,
) -> None:
    """Stand in for impact.com on this machine, until it is stopped: drops for files, the HTTP API, and a page.

    It judges by impact.com's documents. What they leave open is an option whose help begins with Open. Formats of
    receipt and result files, XML, discounts, currency conversion and contracts are not imitated.
    """
    for name in ("pyftpdlib", "mail.log", "asyncssh"):  # what they have to say is on the page
        getLogger(name).setLevel(ERROR)
    try:
        from app.sandbox.sandbox import Sandbox  # noqa: PLC0415 (its libraries are heavy)

        box = Sandbox(Options(**options))
        stop = Event()
        for number in (SIGTERM, SIGINT):
            signal(number, lambda *_: stop.set())
        with box:
            _tell(box.settings, env_file)
            stop.wait()
    except ImportError as error:
        raise Misconfigured(
            f"The sandbox lacks {error.name}, which comes with an extra: install conversion-capture[sandbox], or leave"
            " the drop out that needs it with --ftps-port -1 or --smtp-port -1."
        ) from None
    except (OSError, ValueError) as error:
        raise Misconfigured(f"The sandbox does not start: {error}.") from None


def _tell(settings: dict[str, str], env_file: Path | None) -> None:
    """Print the settings, and write them for nobody else's eyes."""
    text = "".join(f"{name}={quote(value)}\n" for name, value in settings.items())  # for shells and as a .env
    typer.echo(f"The sandbox runs; its page is {settings['CAPTURE_IMPACT_API_URL']}/ (user: the AccountSID).\n\n{text}")
    if env_file:
        part = env_file.with_name(f"{env_file.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        part.replace(env_file)
