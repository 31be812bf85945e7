"""Every link leads somewhere, in the repository as well as in the site."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.samples import DOCS, PAGES, ROOT, without_code

_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
SECTIONS: Final = ("how-to", "reference", "explanation")
OUTSIDE: Final = {
    "https://impact.com",
    "https://litestream.io",
    "https://publicsuffix.org",
    "https://webkit.org/blog/8613/intelligent-tracking-prevention-2-1/",
    "https://webkit.org/blog/8828/intelligent-tracking-prevention-2-2/",
    "https://webkit.org/blog/11338/cname-cloaking-and-bounce-tracking-defense/",
}
"""Where the pages lead out of the repository. Nothing is fetched in a test: look at these by hand now and then."""


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub and the site make them of its headings."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", head).lower() for head in heads]
    return {re.sub(r"[^\w\- ]", "", head).strip().replace(" ", "-") for head in plain}


def links(page: Path) -> list[str]:
    """Return where a page leads."""
    return _LINK.findall(without_code(page.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A file of the repository, and a heading in it; or an address that is on the list."""
    for link in links(page):
        if "://" in link:
            assert link in OUTSIDE
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_no_address_is_listed_for_nothing() -> None:
    """What no page leads to any more goes from the list; all are https."""
    used = {link for page in PAGES for link in links(page) if "://" in link}
    assert used == OUTSIDE
    assert all(re.fullmatch(r"https://[a-z0-9.-]+(/[\w./-]*)?", one) for one in OUTSIDE)


@pytest.mark.parametrize("section", SECTIONS)
def test_each_part_leads_to_all_its_pages(section: str) -> None:
    """Who reads where the code lies finds every page, also without the site's menu."""
    index = DOCS / section / "index.md"
    assert {DOCS / section / link.partition("#")[0] for link in links(index)} >= set(index.parent.glob("*.md")) - {
        index
    }


def test_every_page_is_in_a_part() -> None:
    """Beside the parts there are the front page and the quick start, and nothing else."""
    assert {page.name for page in DOCS.glob("*.md")} == {"index.md", "quick-start.md"}
    assert {page.parent.name for page in DOCS.rglob("*.md")} == {"docs", *SECTIONS}


def test_the_code_sends_nobody_to_a_page_that_is_gone() -> None:
    """Messages and comments that name a page of docs/ name one that is there."""
    places = [ROOT / name for name in ("app", "bench", "examples", "handbook", "tests", "alembic")]
    files = [path for place in places for path in place.rglob("*") if path.suffix in {".py", ".js", ".toml"}]
    files += [ROOT / name for name in ("Makefile", "compose.yaml", "Dockerfile", ".env.example", "pyproject.toml")]
    page = re.compile(r"(?<![\w/])docs/[\w/-]+(?:\.\w+|/)")
    named = {found for file in files for found in page.findall(file.read_text("utf-8"))}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
