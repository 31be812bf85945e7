"""The lists of impact.com's codes: the one thing that sandbox and service have in common."""

import csv
from functools import cache
from importlib.resources import files


def _rows(name: str) -> list[dict[str, str]]:
    text = files("app.impact").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def error_type(code: str) -> str:
    """Return what kind of error a reason is; one that is in no list is a matter of validation."""
    types = {row["code"]: row["type"] for row in _rows("error_reasons.csv")}
    return types.get(code, "Validation")


@cache
def reason_codes(place: str) -> frozenset[str]:
    """Return the standard disposition codes that are taken in a place without a condition: `file reason`, `API PUT`."""
    rows = _rows("reason_codes.csv")
    found = {row["code"] for row in rows if place in row["usable_in"].split("; ")}
    alone = {row["code"] for row in rows if row["usable_in"] == f"{place} only"}
    return frozenset(found | alone)
