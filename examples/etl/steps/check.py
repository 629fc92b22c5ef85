"""Compare what went in with what is in the database: lines and cents, counted by different means."""

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def rows(folder: Path) -> list[list[str]]:
    """Every row of every CSV file of a folder, headings too."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as lines:
            found += list(csv.reader(lines))
    return found


def main(data: str, build: str) -> int:
    """Print one line a check; 0 when all hold."""
    folder = Path(build)
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        loaded, cents = database.execute("select count(*), sum(cents) from orders").fetchone()
    raw = len(rows(Path(data))) - len(list(Path(data).glob("*.csv")))
    rejected = len(rows(folder / "rejected"))
    wanted = sum(int(row[5]) for row in rows(folder / "orders"))
    checks = [
        (f"{raw} lines of the shops = {loaded} loaded + {rejected} rejected", raw == loaded + rejected),
        (f"{cents} cents in the database = {wanted} in the orders", (cents or 0) == wanted),
    ]
    for text, holds in checks:
        print("PASS" if holds else "FAIL", text)
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
