"""The quick start, followed word by word."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.samples import ROOT, samples
from tests.recipes.recipe import running
from tests.servers import free_port
from tests.system import program

STEPS = [one.code for one in samples() if one.page == "docs/quick-start.md" and one.language == "sh"]
START, *REST = STEPS
EXPECTED = (
    ("204 No Content", "set-cookie: im_ref=QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0"),
    ("201 Created", '"state":"pending"'),
    ("200 OK", '"exported":1'),
    ("CampaignId,ActionTrackerId", "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0", "42.50", "13.50"),
    ("",),
    ('"state":"delivered"', "Corrections can be posted"),
)
"""What each step after the first shows, as the page promises it."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The service as `make serve` starts it, in a folder of its own."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = re.search(r"^serve:.*\n\t@\$\(BIN\)/python (.*) \$\(ARGS\)$", makefile, re.MULTILINE)
    assert START == "make serve\n"
    assert recipe
    number = free_port()
    command = [sys.executable, *recipe[1].split(), "--port", str(number)]
    with running(command, number, tmp_path / "service.log", PYTHONPATH=str(ROOT)):
        yield number


@pytest.mark.system
def test_from_nothing_to_the_first_file(port: int, tmp_path: Path) -> None:
    """Every command of the page works as it stands there, and shows what the page says."""
    bin_of_venv = str(Path(sys.executable).parent)
    surroundings = os.pathsep.join((os.defpath, str(Path(program("curl")).parent)))
    for step, expected in zip(REST, EXPECTED, strict=True):
        script = step.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace(".venv/bin", bin_of_venv)
        done = subprocess.run(
            ["/bin/sh", "-e"],
            input=script,
            cwd=tmp_path,
            env={"PATH": surroundings, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for words in expected:
            assert words in done.stdout, (step, done.stdout)
