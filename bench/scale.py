"""Write the figures of docs/explanation/scale.md anew: from its costs.json, or with `--measure` from a new run."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.costs import Cost, measured, table
from bench.simulate import MEASURED, Costs, report

PAGE: Final = MEASURED.with_name("scale.md")
CASES: Final = ((1, 0), (10, 0), (10, 1), (100, 0), (10_000, 0))
"""How many times a large shop, and served by how many replicas; 0: as many as it takes."""
BEGIN, END = "<!-- {} -->\n", "<!-- end of {} -->"


def figures(costs: str) -> dict[str, str]:
    """Return what the page quotes, by the name of the place."""
    days = [report(scale, replicas, Costs.measured(costs), 1) for scale, replicas in CASES]
    return {"costs": table([Cost(**one) for one in json.loads(costs)]), "simulation": "\n\n".join(days)}


def quoted(page: str, costs: str) -> str:
    """Return the page with these figures in their places."""
    for name, text in figures(costs).items():
        before, _, rest = page.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        if not end:
            raise ValueError(f"the page has no place for {name}")
        page = f"{before}{BEGIN.format(name)}\n{text}\n\n{end}{after}"
    return page


def main() -> None:
    """Measure if that is asked for, and write the page."""
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure the costs first")
    if parser.parse_args().measure:
        MEASURED.write_text(json.dumps([asdict(one) for one in measured()], indent=2) + "\n", "utf-8")
    Path(PAGE).write_text(quoted(PAGE.read_text("utf-8"), MEASURED.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
