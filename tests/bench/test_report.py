"""What the bench prints, writes and draws, and how it ends."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import chart, report
from bench.__main__ import JOBS, Job, arguments, chosen, done
from bench.goal import Broken, Goal, NotRun, Result, Row
from bench.place import Place
from bench.sizes import FULL, QUICK

ROOT = Path(__file__).parent.parent.parent
MET = Result.of(Row("met", "landing", "bare <answer> & more", Goal("≥", 0.6, 0.7), "/s"), [70, 65, 80], [100, 100, 100])
MISSED = Result.of(Row("missed", "export", "COPY", Goal("≤", 5), "s"), [60.0, 61.0], [10.0, 10.0])
MEMORY = Result.of(Row("memory", "idle memory", "", Goal("≤", 120), "MB"), [99.5])
NOT_RUN = Result(Row("absent", "landing", "Fastify", Goal("≥", 6), "/s"), reason="node is missing")
TOLD = Result.of(Row("told", "order", "default journal", Goal("≥"), "/s"), [3.0], [1.0])
RESULTS = [MET, MISSED, MEMORY, NOT_RUN, TOLD]
SVG = "{http://www.w3.org/2000/svg}"


def test_a_line_says_ratio_spread_goal_and_whether_it_was_met() -> None:
    """Nobody has to look anything up."""
    line = " ".join(report.line(MET).split())
    told = (
        "landing bare <answer> & more 0.70 × 0.65 to 0.80 ≥ 0.6, stretch ≥ 0.7 met, stretch met (70.0/s against 100/s)"
    )
    assert line == told
    assert " ".join(report.line(MEMORY).split()) == "idle memory 99.5 MB 99.5 to 99.5 ≤ 120 met"
    assert report.line(NOT_RUN).endswith("not run: node is missing")


def test_the_end_names_what_was_not_met_and_the_status_says_so() -> None:
    """A script needs the status alone."""
    assert "2 of 4 goals met" in report.closing(RESULTS, FULL, 60, Path("var"))
    assert report.closing(RESULTS, FULL, 60, Path("var")).endswith("not met: missed, absent")
    assert report.closing(RESULTS, QUICK, 60, Path("var")).endswith("clearly not met: missed")
    assert [report.exit_status(some, FULL) for some in ([MET, MEMORY, TOLD], [NOT_RUN], [MISSED])] == [0, 1, 1]
    assert [report.exit_status(some, QUICK) for some in ([MET, MEMORY, TOLD], [NOT_RUN], [MISSED])] == [0, 0, 1]


def test_an_indicative_run_says_so() -> None:
    """Figures of a short run are not quoted as if they were of a whole one."""
    assert "INDICATIVE" in report.heading(QUICK)
    assert "INDICATIVE" not in report.heading(FULL)
    assert json.loads(report.as_json(RESULTS, QUICK))["indicative"] is True


def test_the_json_has_every_round() -> None:
    """Whoever doubts a median looks at what it was made of."""
    document = json.loads(report.as_json(RESULTS, replace(FULL, old=5_000)))
    assert document["histories"] == [FULL.few_old, 5_000]
    rows = {row["key"]: row for row in document["rows"]}
    assert (rows["missed"]["ours"], rows["missed"]["peer"], rows["missed"]["rounds"]) == ([60, 61], [10, 10], [6, 6.1])
    assert (rows["missed"]["min"], rows["missed"]["median"], rows["missed"]["verdict"]) == (6, 6.05, "missed")
    assert rows["absent"]["reason"] == "node is missing"


def test_the_chart_is_well_formed_and_has_every_row() -> None:
    """What a job or a peer is called cannot break the picture."""
    svg = ET.fromstring(chart.draw(RESULTS))  # noqa: S314 (our own)
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    for one in RESULTS:
        assert (f"{one.row.job} ÷ {one.row.peer}" if one.row.peer else one.row.job) in texts
    _paper, *bars = svg.iter(f"{SVG}rect")
    assert [bar.get("fill") for bar in bars] == ["#2e7d32", "#c62828", "#2e7d32"]


@pytest.mark.parametrize(
    ("one", "value", "beyond"),
    [(MET, 1.2, 2), (MET, 0.3, 0.5), (MISSED, 2.5, 2), (MISSED, 10, 0.5), (TOLD, 3, None), (MISSED, 0, None)],
)
def test_better_is_to_the_right_whichever_way_a_goal_goes(one: Result, value: float, beyond: float | None) -> None:
    """Twice as good as the goal is 2, half as good one half."""
    assert chart.beyond(one, value) == beyond


def test_every_row_has_a_name_of_its_own() -> None:
    """JSON of two runs is compared by it."""
    keys = [row.key for job in JOBS for row in job.rows]
    assert len(keys) == len(set(keys))


def test_rows_are_chosen_by_the_beginning_of_their_jobs_name() -> None:
    """One lane can be measured alone; what is only for the curious is measured when it is named."""
    assert [job.name for job in chosen(["orders", "check"])] == ["orders-postgresql", "orders-sqlite", "check"]
    assert [job.name for job in chosen([])] == [job.name for job in JOBS if not job.is_extra]
    assert [job.name for job in chosen(["outage"])] == ["outage"]


def test_amounts_can_be_given() -> None:
    """A long history is a matter of minutes, so its length is an option."""
    sizes, jobs, folder = arguments(["--only", "history-sqlite", "--history", "10000000", "--rounds", "7"])
    assert (sizes, [job.name for job in jobs]) == (replace(FULL, old=10_000_000, rounds=7), ["history-sqlite"])
    assert folder == Path("var/bench")
    assert arguments(["--quick"])[0] == QUICK


@pytest.mark.parametrize("wrong", [["--only", "nothing"], ["--rounds", "0"], ["--history", "-1"]])
def test_a_wrong_amount_or_name_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error measures nothing by accident."""
    with pytest.raises(SystemExit, match="2"):
        arguments(wrong)
    assert "make bench: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotRun("wrk is missing"), "not run: wrk is missing"),
        (Broken("rows are missing\nmany"), "broken: rows are missing"),
        (subprocess.TimeoutExpired("wrk", 3), "broken: Command 'wrk' timed out after 3 seconds"),
    ],
)
def test_a_job_that_fails_fails_its_rows_and_no_others(tmp_path: Path, error: Exception, line: str) -> None:
    """The rest of the table is measured all the same."""

    def measure(_place: Place) -> list[Result]:
        raise error

    job = Job("job", (MET.row, MISSED.row), measure)  # type: ignore[arg-type]
    results = done(job, Place(tmp_path, QUICK))
    assert [one.row.key for one in results] == ["met", "missed"]
    assert all(report.line(one).endswith(line) for one in results)


def test_both_commands_are_listed() -> None:
    """`make help` is where they are found."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert {"bench", "bench-quick"} <= {line.split()[1] for line in listed.splitlines()}
