"""The documentation as a site: built whole, without a warning, and without anything from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.samples import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    recipe = re.search(r"^docs:.*\n\t@\$\(BIN\)/python (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, *recipe[1].replace("var/docs", str(folder)).split()]
    built = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    """And so is whatever a page shows or gives to download."""
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert [page for page in pages if not (site / page).is_file()] == []


def test_a_reader_s_browser_fetches_nothing_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture of another host: the site can be read without a network, and tells nobody."""
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = file.read_text("utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)", text)
        fetched += re.findall(r"<link\b[^>]*\bhref=\"([^\"]+)", text)
        fetched += re.findall(r"(?:@import\s+|url\()[\"']?([^\"')\s]+)", text) if file.suffix == ".css" else []
        assert [one for one in fetched if re.match(r"(https?:)?//", one)] == [], file
