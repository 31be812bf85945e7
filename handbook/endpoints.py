"""The calls of the API, from the OpenAPI document and from the routes, which know who may call them."""

from collections.abc import Iterator
from http import HTTPStatus
from inspect import getclosurevars
from itertools import groupby
from typing import Any, Final

from fastapi.params import Depends

from app.main import _application, openapi
from app.security import Right
from handbook.page import code, table

PROBLEM: Final = "application/problem+json"
PLAIN: Final = "Successful Response"
"""What FastAPI says of an answer of which nobody has said anything."""


def endpoint_sections() -> str:
    """Return a section for each group of calls, and in it one for each call."""
    paths, rights = openapi()["paths"], dict(_rights(_application()))
    calls = [(path, method.upper(), call) for path, methods in paths.items() for method, call in methods.items()]
    groups = groupby(calls, lambda call: str(call[2]["tags"][0]))
    sections = [
        [f"## {tag.capitalize()}", *(_call(*one, rights.get((one[1], one[0]), ())) for one in group)]
        for tag, group in groups
    ]
    return "\n\n".join(part for section in sections for part in section)


def shape_sections() -> str:
    """Return a section for each shape of an answer: its fields, or the words that it may be."""
    return "\n\n".join(_shape(name, shape) for name, shape in sorted(openapi()["components"]["schemas"].items()))


def _rights(app: Any) -> Iterator[tuple[tuple[str, str], tuple[Right, ...]]]:
    """Yield what each route asks of a key, by method and path."""
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _rights(inner)
        asked = [_asked(one) for one in getattr(route, "dependencies", [])]
        for method in getattr(route, "methods", None) or ():
            yield (method, route.path), next((one for one in asked if one), ())


def _asked(dependency: Depends) -> tuple[Right, ...]:
    return getclosurevars(dependency.dependency).nonlocals.get("rights", ()) if dependency.dependency else ()


def _call(path: str, method: str, call: dict[str, Any], rights: tuple[Right, ...]) -> str:
    keys = " or ".join(f"`CAPTURE_{right.upper()}_KEYS`" for right in rights)
    parts = [f"### {method} {path}", " ".join(call["description"].split()), f"Key: {keys or 'none is needed'}."]
    if parameters := call.get("parameters"):
        rows = ((code(one["name"]), one["in"], _kind(one["schema"]), _told(one)) for one in parameters)
        parts.append(table(("parameter", "in", "type", "meaning"), rows))
    if content := call.get("requestBody", {}).get("content"):
        parts.append(f"Body: {code(*content)}.")
    answers = sorted(call["responses"].items())
    plain = [status for status, answer in answers if answer["description"] == HTTPStatus(int(status)).phrase]
    parts.append(table(("status", "answer"), (_answer(*one) for one in answers if one[0] not in plain)))
    return "\n\n".join([*parts, f"Refusals: {code(*plain)}."] if plain else parts)


def _told(parameter: dict[str, Any]) -> str:
    told = "required" if parameter.get("required") and parameter["in"] != "path" else ""
    return ". ".join(one for one in (told, parameter.get("description", "").strip()) if one)


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str]:
    content = answer.get("content", {})
    shapes = [_kind(one["schema"]) for kind, one in content.items() if kind != PROBLEM and "$ref" in one["schema"]]
    told = "" if answer["description"] == PLAIN else answer["description"]
    kinds = [] if shapes or PROBLEM in content else [code(kind) for kind in content]
    return code(status), " ".join(one for one in (told, *shapes, *kinds) if one)


def _shape(name: str, shape: dict[str, Any]) -> str:
    head = f"## {name}\n\n{' '.join(shape.get('description', '').split())}".strip()
    if "enum" in shape:
        return f"{head}\n\nOne of {code(*shape['enum'])}."
    rows = ((code(key), _kind(one), one.get("description", "")) for key, one in shape.get("properties", {}).items())
    return f"{head}\n\n{table(('field', 'type', 'meaning'), rows)}"


def _kind(schema: dict[str, Any]) -> str:
    """Say what a value is."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](answers.md#{name.lower()})"
    if kinds := schema.get("anyOf"):
        return " or ".join(_kind(one) for one in kinds)
    if "enum" in schema:
        return code(*schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any")
