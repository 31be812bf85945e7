"""The page on privacy names everything that is kept: what is added to a table is added there, or the build fails."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table

from app.conversions.email_hash import hash_of_email
from app.tables import METADATA

PAGE = (Path(__file__).parent.parent / "docs" / "explanation" / "privacy.md").read_text("utf-8")
ROW = re.compile(r"\| `(\w+)` \| (`\w+`(?:, `\w+`)*) \| ([^|]+) \| (\w+) \|")


def rows() -> Iterator[tuple[str, list[str], str, str]]:
    """Yield the rows of the page's tables: table, columns, why, whether they are personal."""
    for line in PAGE.splitlines():
        if found := ROW.fullmatch(line):
            yield found[1], re.findall(r"\w+", found[2]), found[3], found[4]


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_every_column_is_on_the_page_with_its_purpose(table: Table) -> None:
    """Once, with why it is kept and whether it is personal."""
    told = [column for name, columns, _, _ in rows() if name == table.name for column in columns]
    assert len(told) == len(set(told))
    assert set(told) == {column.name for column in table.columns}
    assert all(why.strip() and personal in {"yes", "order", "no"} for _, _, why, personal in rows())


PERSONAL = {("revision", "customer_id"), ("revision", "click_id"), ("revision", "extra"), ("item", "extra")}
PERSONAL |= {("click", "click_id"), ("new_click", "click_id"), ("batch_content", "content")}


def test_what_is_personal_is_called_so() -> None:
    """An id of a visitor or customer, what the shop adds, and the files that have all of it."""
    said = {(table, column): personal for table, columns, _, personal in rows() for column in columns}
    assert {said[one] for one in PERSONAL} == {"yes"}


def test_the_example_of_the_hash_is_right() -> None:
    """Whoever copies it gets what the service keeps."""
    [expression] = re.findall(r"^hashlib\.sha256\(.*$", PAGE, re.MULTILINE)
    [written] = re.findall(r"^# ([0-9a-f]{64})$", PAGE, re.MULTILINE)
    names = {"hashlib": hashlib, "unicodedata": unicodedata}
    assert eval(expression, names) == written == hash_of_email(" Anna@Shop.Example")  # noqa: S307 (our own page)
