"""The results for people, line by line, and as JSON."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.goal import Result, Verdict
from bench.machine import facts
from bench.sizes import Sizes

JOB_WIDTH, PEER_WIDTH, FIGURE_WIDTH, SPREAD_WIDTH, GOAL_WIDTH = 56, 36, 10, 17, 20
STRETCH: Final = {True: "stretch met", False: "stretch missed"}


def heading(sizes: Sizes) -> str:
    """Return what stands above the lines."""
    machine = facts()
    kind = "INDICATIVE, too short to judge by: " if sizes.indicative else ""
    what = (
        f"{kind}paired rounds: {sizes.rounds}, {sizes.seconds} s of load each; {sizes.items:,} rows exported,"
        f" {sizes.rows:,} checked, {sizes.imported:,} imported; histories of {sizes.few_old:,} and {sizes.old:,}"
        f" orders; {machine['cores']} cores, Python {machine['python']}"
    )
    return f"{what}\n\n" + _columns("job", "against", "ratio", "min to max", "goal", "")


def line(result: Result) -> str:
    """Return a row as one line: ratio, spread, goal, and whether it was met."""
    row = result.row
    if result.reason:
        return _columns(row.job, row.peer, "–", "–", str(row.goal), f"{result.verdict}: {result.reason}")
    low, high = result.spread
    figures = f"{figure(result.median)} {row.unit}", f"{figure(low)} to {figure(high)}"
    return _columns(row.job, row.peer, *figures, str(row.goal), " ".join([told(result), _both(result)]).strip())


def told(result: Result) -> str:
    """Return the verdict in words, with that on the stretch."""
    stretch = "" if result.stretch_is_met is None else STRETCH[result.stretch_is_met]
    if result.verdict is Verdict.TOLD:
        return stretch or str(result.verdict)
    return f"{result.verdict}, {stretch}" if stretch and result.verdict is Verdict.MET else str(result.verdict)


def closing(results: Sequence[Result], sizes: Sizes, seconds: float, folder: Path) -> str:
    """Return what stands below the lines."""
    judged = [one for one in results if one.row.goal.limit is not None]
    met = sum(one.verdict is Verdict.MET for one in judged)
    failing = [one.row.key for one in results if one.fails(indicative=sizes.indicative)]
    lines = [
        "",
        f"{met} of {len(judged)} goals met in {seconds / 60:.1f} minutes.",
        f"{folder / 'results.json'} has every round, {folder / 'chart.svg'} draws them.",
    ]
    if failing:
        lines.append(f"{'clearly ' if sizes.indicative else ''}not met: {', '.join(failing)}")
    return "\n".join(lines)


def exit_status(results: Sequence[Result], sizes: Sizes) -> int:
    """Return 1 if a row fails the run."""
    return int(any(one.fails(indicative=sizes.indicative) for one in results))


def as_json(results: Sequence[Result], sizes: Sizes) -> str:
    """Return everything, each round too."""
    document = {
        "indicative": sizes.indicative,
        "rounds": sizes.rounds,
        "seconds_of_load": sizes.seconds,
        "rows_exported": sizes.items,
        "rows_checked": sizes.rows,
        "rows_imported": sizes.imported,
        "histories": [sizes.few_old, sizes.old],
        "machine": facts(),
        "rows": [_as_json(one) for one in results],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _as_json(result: Result) -> dict[str, Any]:
    row = result.row
    described = {
        "key": row.key,
        "job": row.job,
        "against": row.peer or None,
        "goal": {"sign": row.goal.sign, "limit": row.goal.limit, "stretch": row.goal.stretch},
        "verdict": str(result.verdict),
        "stretch_met": result.stretch_is_met,
    }
    if result.reason:
        return described | {"reason": result.reason}
    low, high = result.spread
    return described | {
        "unit": row.unit,
        "median": result.median,
        "min": low,
        "max": high,
        "rounds": list(result.values),
        "figure": row.figure,
        "ours": list(result.ours),
        "peer": list(result.peer),
    }


def figure(value: float) -> str:
    """Return a number with three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _both(result: Result) -> str:
    """Return the medians of both sides, as they were taken."""
    if not result.peer:
        return ""
    ours, peer, unit = statistics.median(result.ours), statistics.median(result.peer), result.row.figure
    between = "" if unit.startswith("/") else " "
    return f"({figure(ours)}{between}{unit} against {figure(peer)}{between}{unit})"


def _columns(job: str, peer: str, median: str, spread: str, goal: str, rest: str) -> str:
    return (
        f"{job:<{JOB_WIDTH}} {peer:<{PEER_WIDTH}} {median:>{FIGURE_WIDTH}}  {spread:<{SPREAD_WIDTH}}"
        f" {goal:<{GOAL_WIDTH}} {rest}"
    ).rstrip()
