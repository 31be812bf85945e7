"""The commands, from the console program itself."""

from collections.abc import Iterator
from typing import Any

import typer

from app.cli import cli
from handbook.page import code, table

NAME = "conversion-capture"


def commands(command: Any = None, name: str = NAME) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, by its whole name."""
    command = command or typer.main.get_command(cli)
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for word, one in sorted((inner or {}).items()):
        yield from commands(one, f"{name} {word}")


def command_sections() -> str:
    """Return a section for each command: how it is written, what it does, its arguments and options."""
    return "\n\n".join(_section(name, command) for name, command in commands())


def _section(name: str, command: Any) -> str:
    arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    options = ["[OPTIONS]"] if len(arguments) < len(command.params) else []
    parts = [f"## {name.removeprefix(NAME).strip()}", f"```text\n{' '.join([name, *options, *arguments])}\n```"]
    parts.append(" ".join(command.help.split()))
    context = command.make_context(name, [], resilient_parsing=True)
    rows = [(code(names), told) for names, told in (one.get_help_record(context) for one in command.params)]
    return "\n\n".join([*parts, table(("argument or option", "meaning"), rows)] if rows else parts)


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"
