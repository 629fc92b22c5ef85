"""Compare what went in with what is in the database: lines and cents, counted by different means."""

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def count_lines(path: Path) -> int:
    """Lines below the heading."""
    with open(path, newline="", encoding="utf-8") as lines:
        return sum(1 for _ in csv.reader(lines)) - 1


def main(build: str) -> int:
    """Print one line a check; 0 when all hold."""
    folder = Path(build)
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        loaded, cents = database.execute("select count(*), sum(cents) from orders").fetchone()
    with open(folder / "orders.csv", newline="", encoding="utf-8") as lines:
        wanted = sum(int(row["cents"]) for row in csv.DictReader(lines))
    raw, rejected = count_lines(folder / "raw.csv"), count_lines(folder / "rejected.csv")
    checks = [
        (f"{raw} raw lines = {loaded} loaded + {rejected} rejected", raw == loaded + rejected),
        (f"{cents} cents in the database = {wanted} in orders.csv", (cents or 0) == wanted),
    ]
    for text, holds in checks:
        print("PASS" if holds else "FAIL", text)
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
