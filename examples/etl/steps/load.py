"""Load the orders into a new SQLite database, in one transaction."""

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

SCHEMA = """
create table orders (
    shop text not null, order_id text not null, day text not null, item text not null,
    quantity integer not null, cents integer not null, primary key (shop, order_id)
)
"""


def main(source: str, target: str) -> None:
    """Read `source`, make `target` anew."""
    Path(target).unlink(missing_ok=True)
    with closing(sqlite3.connect(target)) as database, open(source, newline="", encoding="utf-8") as lines:
        rows = [tuple(row) for row in csv.reader(lines)][1:]
        with database:
            database.execute(SCHEMA)
            database.executemany("insert into orders values (?, ?, ?, ?, ?, ?)", rows)
    print(f"loaded {len(rows)} orders")


if __name__ == "__main__":
    main(*sys.argv[1:])
