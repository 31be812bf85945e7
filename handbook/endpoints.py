"""The calls of the API and the shapes of its answers, from the OpenAPI document."""

from http import HTTPStatus
from typing import Any, Final

from app.main import openapi
from handbook.page import code, table

PROBLEM: Final = "application/problem+json"
PLAIN: Final = "Successful Response"
"""What FastAPI says of an answer of which nobody has said anything."""


def endpoint_sections() -> str:
    """Return a section for each group of calls, and in it one for each call."""
    paths = openapi()["paths"]
    calls = [(path, method.upper(), call) for path, methods in paths.items() for method, call in methods.items()]
    sections: dict[str, list[str]] = {}
    for one in calls:
        tag = str(one[2]["tags"][0])
        sections.setdefault(tag, [f"## {tag.capitalize()}"]).append(_call(*one))
    return "\n\n".join(part for section in sections.values() for part in section)


def shape_sections() -> str:
    """Return a section for each shape of an answer: its fields, or the words that it may be."""
    return "\n\n".join(_shape(name, shape) for name, shape in sorted(openapi()["components"]["schemas"].items()))


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    rights = [right for scheme in call.get("security", []) for named in scheme.values() for right in named]
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
