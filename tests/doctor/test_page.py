"""docs/how-to/doctor.md names every finding that there is."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def names() -> set[str]:
    """Return the names of all findings in the code."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "app" / "doctor").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [one.args[0] for one in calls if isinstance(one.func, ast.Name) and one.func.id == "Finding" and one.args]
    return {str(one.value) for one in made if isinstance(one, ast.Constant)}


def test_the_page_has_a_line_for_each_finding() -> None:
    """Who meets one finds what was looked at, and what to do; a finding that is no more is not explained."""
    page = (ROOT / "docs" / "how-to" / "doctor.md").read_text("utf-8")
    explained = re.findall(r"^\| `([a-z ]+)` \|", page, re.MULTILINE)
    assert sorted(explained) == sorted(names())
    assert len(explained) > 20
