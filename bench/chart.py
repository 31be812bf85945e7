"""The results as a picture: how far each row is beyond its goal, on one scale."""

import math
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from bench.goal import Result, Verdict
from bench.report import figure, told

WIDTH, LEFT, RIGHT, LINE, TOP, BAR = 1180, 470, 330, 30, 60, 12
SCALE: Final = 16
"""The picture reaches from 1/16 of a goal to 16 times it; a bar that goes further ends at its edge."""
COLORS: Final = {
    Verdict.MET: "#2e7d32",
    Verdict.MISSED: "#c62828",
    Verdict.BROKEN: "#c62828",
    Verdict.TOLD: "#607d8b",
    Verdict.NOT_RUN: "#607d8b",
}
STYLE: Final = "text { font: 13px system-ui, sans-serif; fill: #222 } .small { font-size: 11px; fill: #666 }"


def draw(results: Sequence[Result]) -> str:
    """Return an SVG with a line for every row."""
    height = TOP + LINE * len(results) + 20
    svg = ET.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height}", "width": f"{WIDTH}", "role": "img"},
    )
    ET.SubElement(svg, "title").text = "The service beside its peers: how far each row is beyond its goal"
    ET.SubElement(svg, "style").text = STYLE
    ET.SubElement(svg, "rect", {"width": f"{WIDTH}", "height": f"{height}", "fill": "#fff"})
    _axis(svg, height)
    for number, result in enumerate(results):
        _row(svg, result, TOP + LINE * number + LINE / 2)
    return ET.tostring(svg, encoding="unicode") + "\n"


def beyond(result: Result, value: float) -> float | None:
    """Return how far a figure is beyond the goal: 1 is the goal itself, 2 twice as good. None without a goal."""
    goal = result.row.goal
    bound = goal.stretch if goal.limit is None else goal.limit
    if not bound or value <= 0:
        return None
    return value / bound if goal.sign == "≥" else bound / value


def _axis(svg: ET.Element, height: float) -> None:
    _text(svg, LEFT, 20, "← short of the goal", anchor="start", small=True)
    _text(svg, WIDTH - RIGHT, 20, "beyond the goal →", anchor="end", small=True)
    for exponent in range(-4, 5):
        factor = 2.0**exponent
        stroke = {"stroke": "#222" if factor == 1 else "#ddd", "stroke-width": "1"}
        at = f"{_x(factor):.1f}"
        ET.SubElement(svg, "line", {"x1": at, "x2": at, "y1": f"{TOP - 12}", "y2": f"{height - 15}", **stroke})
        name = "goal" if factor == 1 else f"{factor:g} ×" if factor > 1 else f"1/{1 / factor:g}"
        _text(svg, _x(factor), TOP - 18, name, anchor="middle", small=True)


def _row(svg: ET.Element, result: Result, middle: float) -> None:
    row = result.row
    _text(svg, LEFT - 12, middle + 4, f"{row.job} ÷ {row.peer}" if row.peer else row.job, anchor="end")
    if result.reason:
        _text(svg, WIDTH - RIGHT + 12, middle + 4, str(result.verdict))
        return
    words = f"{figure(result.median)} {row.unit}   (goal {row.goal}): {told(result)}"
    _text(svg, WIDTH - RIGHT + 12, middle + 4, words, small=True)
    ends = [_x(end) for value in (result.median, *result.spread) if (end := beyond(result, value)) is not None]
    if ends:
        _bar(svg, middle, ends[0], min(ends), max(ends), COLORS[result.verdict])


def _bar(svg: ET.Element, middle: float, median: float, low: float, high: float, color: str) -> None:
    """Draw from the goal to the median, and a thin line from the least to the greatest."""
    left, right = sorted((_x(1), median))
    place = {"x": f"{left:.1f}", "y": f"{middle - BAR / 2:.1f}", "width": f"{right - left:.1f}", "height": f"{BAR}"}
    ET.SubElement(svg, "rect", {**place, "fill": color})
    at = f"{middle:.1f}"
    ET.SubElement(
        svg,
        "line",
        {"x1": f"{low:.1f}", "x2": f"{high:.1f}", "y1": at, "y2": at, "stroke": "#222", "stroke-width": "2"},
    )


def _x(factor: float) -> float:
    """Return where a factor stands on the logarithmic scale."""
    inside = min(max(factor, 1 / SCALE), SCALE)
    return LEFT + (WIDTH - RIGHT - LEFT) * (0.5 + math.log(inside, SCALE) / 2)


def _text(svg: ET.Element, x: float, y: float, words: str, *, anchor: str = "start", small: bool = False) -> None:
    facts = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor} | ({"class": "small"} if small else {})
    ET.SubElement(svg, "text", facts).text = words
