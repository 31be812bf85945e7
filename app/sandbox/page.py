"""A plain page that shows what the sandbox has received."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

MOST: Final = 500
"""So many rows of a table are shown, the newest first."""

_HEAD: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox</title>
<style>body{font:15px system-ui;margin:2em}table{border-collapse:collapse;margin:.5em 0 2em}
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}</style>
<h1>Sandbox</h1><p>A stand-in for impact.com. <a href="/sandbox/state">The same as JSON</a>, whole.</p>"""


def show(state: Mapping[str, Any]) -> str:
    """Return the page; whatever it has received is shown as text."""
    errors = [{"file": file["name"]} | error for file in state["files"] for error in file["errors"]]
    parts = [
        _table("Files", state["files"], "name source type status submitted_at records"),
        _table("Lines that were refused", errors, "file Line OrderId Sku Status Reason"),
        _table("Submissions of the API", state["submissions"], "id type status order_id reasons submitted_at"),
        _table("Actions", state["actions"], "id order_id state amount currency payout items event_date"),
        _list("Files that were lost on purpose", state["lost_files"]),
        _list("Files that were ignored", state["ignored_files"]),
    ]
    return _HEAD + "".join(parts) + "</html>"


def _table(title: str, rows: Sequence[Mapping[str, Any]], columns: str) -> str:
    names = columns.split()
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_text(row.get(name)))}</td>' for name in names)}</tr>"
        for row in reversed(rows[-MOST:])
    )
    return f"<h2>{title} ({len(rows)})</h2><table><tr>{head}</tr>{body}</table>"


def _list(title: str, names: Sequence[str]) -> str:
    return f"<h2>{title} ({len(names)})</h2><p>{escape(', '.join(names[-MOST:])) or '-'}</p>"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one['sku']} {one['amount']}" if isinstance(one, dict) else str(one) for one in value)
    return str(value)
