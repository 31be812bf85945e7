"""Charts as SVG: drawn here, without a script, in colours that colour-blind people can tell apart.

The library lays them out. How they look stands here alone, for light and dark surroundings.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from app.dashboard.words import THIN_SPACE, number

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from pygal.graph.graph import Graph

WIDTH: Final = 460
HEIGHT: Final = 230
"""About as large as a phone shows it, so that its words can be read there."""
MOST_TICKS: Final = 5
MOST_LABELS: Final = 5
MILLION: Final = 10**6
# Okabe and Ito's colours; in the dark the two that would be too dark are lighter.
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#8a8f98")
IN_THE_DARK: Final = ("#56b4e9", "#e69f00", "#2fc79b", "#e0a3c4", "#8a8f98")
FONT: Final = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif'
LOOK: Final = (
    "svg{--text:#566273;--line:#d9dee5}"
    "text{fill:var(--text);font-size:12px}.axis.y text{text-anchor:end}.axis.x text{text-anchor:middle}"
    ".background{fill:none}.line{fill:none;stroke:var(--line);stroke-width:1}.axis.x .guide{display:none}"
    ".nofill{fill:none}path.line.nofill{stroke:inherit;stroke-width:2.5;stroke-linejoin:round}"
    ".no_data{text-anchor:middle;font-size:18px}"
)
LEGEND_LINE: Final = 5
"""As many names stand beside each other below a chart."""


@dataclass(frozen=True, slots=True)
class Series:
    """A row of numbers, one for each label; None where there is none."""

    name: str
    values: Sequence[int | None]


def ticks(top: int) -> list[int]:
    """Return round numbers from 0 to `top` or just above it."""
    step = 1
    while step * MOST_TICKS < top:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, max(top, 1) + step, step)) if top % step else list(range(0, max(top, step) + 1, step))


def brief(value: int, decimals: int = 0) -> str:
    """Write a number of so many decimals shortly, for an axis."""
    units = Decimal(value).scaleb(-decimals)
    if units >= MILLION:
        return f"{(units / MILLION).normalize():f}{THIN_SPACE}M"
    return number(int(units)) if units == int(units) else f"{units.normalize():f}"


def bars(labels: Sequence[str], series: Sequence[Series], *, decimals: int = 0) -> bytes:
    """Draw numbers on top of each other, a bar for each label."""
    top = max((sum(one.values[place] or 0 for one in series) for place in range(len(labels))), default=0)
    chart = _library().StackedBar(**_options(labels, len(series)), spacing=4)
    chart.y_labels = [{"value": tick, "label": brief(tick, decimals)} for tick in ticks(top)]
    return _drawn(chart, series)


def shares(labels: Sequence[str], series: Series) -> bytes:
    """Draw a line of per mille, on an axis from 0 to 100 %; it is broken where there is no number."""
    chart = _library().Line(**_options(labels, 1), allow_interruptions=True, dots_size=3)
    chart.y_labels = [{"value": tick, "label": f"{tick // 10}{THIN_SPACE}%"} for tick in range(0, 1001, 250)]
    return _drawn(chart, [series])


@cache
def _library() -> Any:
    """Return the library, without its hook into Python's imports, which is for maps and slows and warns at others."""
    import pygal  # noqa: PLC0415 (it takes memory and time that only whoever looks at a chart spends)

    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, pygal.PluginImportFixer)]
    return pygal


def _options(labels: Sequence[str], number_of_series: int) -> dict[str, Any]:
    every = -(-len(labels) // MOST_LABELS)
    return {
        "style": _library().style.Style(
            font_family=FONT, label_font_size=12, major_label_font_size=12, legend_font_size=12
        ),
        "truncate_label": -1,
        "truncate_legend": -1,
        "css": ["inline:" + LOOK + _coloured(COLOURS) + _in_the_dark()],
        "js": [],
        "width": WIDTH,
        "height": HEIGHT,
        "margin": 8,
        "x_labels": list(labels),
        "x_labels_major_every": every,
        "show_minor_x_labels": every == 1,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": min(number_of_series, LEGEND_LINE),
        "legend_box_size": 10,
        "show_legend": number_of_series > 1,
        "no_data_text": "Nothing yet",
        "disable_xml_declaration": True,
    }


def _coloured(colours: Sequence[str]) -> str:
    return "".join(f".color-{place}{{fill:{colour};stroke:{colour}}}" for place, colour in enumerate(colours))


def _in_the_dark() -> str:
    inside = f"svg{{--text:#a3afbf;--line:#323b48}}{_coloured(IN_THE_DARK)}"
    return f"@media (prefers-color-scheme: dark){{{inside}}}"


def _drawn(chart: "Graph", series: Sequence[Series]) -> bytes:
    for one in series:
        chart.add(one.name, list(one.values))
    chart.add_xml_filter(_without_what_scripts_need)
    drawn: str = chart.render(is_unicode=True)
    return drawn.encode()


def _without_what_scripts_need(root: "Element") -> "Element":
    """Take out scripts, what they would show on a tooltip, and comments: the page has the numbers as a table."""
    for parent in list(root.iter()):
        for child in list(parent):
            is_text = isinstance(child.tag, str)
            if not is_text or child.tag in {"script", "desc", "title"} or "tooltip" in child.get("class", "").split():
                parent.remove(child)
    return root
