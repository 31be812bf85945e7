"""Measure landings, orders per second, and the time and memory of an export, on SQLite and PostgreSQL.

Load goes to 127.0.0.1 only, and its amount is bounded by the arguments.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import capture, export, orders
from tests.servers import Postgres


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Give a fresh database of each kind."""
    prefix = "conversion-capture-bench-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, Postgres() as server, server.new_database() as url:
        yield {"sqlite": f"sqlite:///{Path(folder) / 'bench.db'}", "postgresql": url}


def landings(calls: int) -> dict[str, object]:
    """Print and return how long `/capture` takes, whatever the database does."""
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, Postgres() as server, server.new_database() as url:
        for kind, measured in {
            "sqlite": capture.sqlite(f"sqlite:///{Path(folder) / 'bench.db'}", calls),
            "postgresql": capture.postgresql(server, url, calls),
        }.items():
            results[kind] = measured
            for case, times in measured.items():
                state, connections = case.split(", ")
                print(
                    f"GET /capture, {kind} {state}, {connections} connections: "
                    f"median {times['median_ms']} ms, p99 {times['p99_ms']} ms"
                )
    return results


def main() -> None:
    """Print one line per measurement, and all of them as JSON at the end."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--posts", type=int, default=4_000, help="orders posted per round")
    parser.add_argument("--connections", type=int, default=16, help="connections that post at once")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of posting")
    parser.add_argument("--landings", type=int, default=1_000, help="landings in each state of the database")
    parser.add_argument("--export-orders", type=int, default=100_000, help="orders of 3 items that are exported")
    chosen = parser.parse_args()
    results: dict[str, object] = {"landings": landings(chosen.landings)}
    with databases() as urls:
        for kind, url in urls.items():
            rates = orders.rounds(url, chosen.posts, chosen.connections, chosen.rounds)
            results[f"orders_per_second_{kind}"] = rates
            spread = f"{min(rates):.0f} to {max(rates):.0f}"
            print(
                f"POST /orders, {kind}, {chosen.connections} connections: {statistics.median(rates):.0f}/s ({spread})"
            )
    with databases() as urls:
        for kind, url in urls.items():
            measured = export.measure(url, chosen.export_orders)
            results[f"export_{kind}"] = measured
            print(
                f"export of {chosen.export_orders} orders ({3 * chosen.export_orders} items), {kind}: "
                f"{measured['seconds']} s, peak {measured['peak_mb']} MB, grew by {measured['grew_by_mb']} MB, "
                f"{measured['files']} files"
            )
    json.dump(results, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
