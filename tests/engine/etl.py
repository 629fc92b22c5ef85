"""The phases of the real job: one CSV joined with another into SQLite, in steps long enough to be cut in two.

Run as `etl.py extract SHARED | transform | load | report`, in the workspace. The database is a function of its input:
it is made in one go, and its bytes are compared. Knows nothing of gitckpt.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import sys
import time
from pathlib import Path

PIECE_S = 0.02
"""A pause after each tenth of a step's output, so that a kill can fall inside it."""


def extract(source: Path) -> None:
    """Both files, as they are."""
    Path("raw").mkdir()
    for name in ("gdp.csv", "country-codes.csv"):
        shutil.copyfile(source / name, Path("raw", name))
        time.sleep(PIECE_S)


def transform() -> None:
    """Every row with its region; rows of no country (a group of countries) have none."""
    with open("raw/country-codes.csv", encoding="utf-8", newline="") as file:
        regions = {row["ISO3166-1-Alpha-3"]: row["Region Name"] for row in csv.DictReader(file)}
    with open("raw/gdp.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    Path("clean").mkdir()
    for decade in sorted({row["Year"][:3] for row in rows}):
        with open(f"clean/{decade}0s.csv", "w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            for row in rows:
                if row["Year"].startswith(decade):
                    code = row["Country Code"]
                    writer.writerow([code, regions.get(code, ""), row["Year"], row["Value"]])
        time.sleep(PIECE_S)


def load() -> None:
    """One table."""
    with sqlite3.connect("gdp.sqlite") as database:
        database.execute("create table gdp (code text, region text, year integer, value real)")
        for path in sorted(Path("clean").iterdir()):
            with open(path, encoding="utf-8", newline="") as file:
                database.executemany("insert into gdp values (?, ?, ?, ?)", csv.reader(file))
            database.commit()
            time.sleep(PIECE_S)
    database.close()


def report() -> None:
    """Totals by region of the newest year."""
    database = sqlite3.connect("gdp.sqlite")
    newest = "select max(year) from gdp"
    rows = database.execute(
        f"select region, count(*), sum(value) from gdp where year = ({newest}) group by region order by region"
    ).fetchall()
    database.close()
    Path("report.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["extract", source]:
            extract(Path(source))
        case ["transform"]:
            transform()
        case ["load"]:
            load()
        case ["report"]:
            report()
        case other:
            sys.exit(f"no such step: {other}")
