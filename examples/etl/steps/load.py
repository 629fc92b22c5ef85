"""Load a batch of orders, one a line on standard input, into SQLite: all of them in one transaction, or none."""

import csv
import sqlite3
import sys
from contextlib import closing

SCHEMA = """
create table if not exists orders (
    shop text not null, order_id text not null, day text not null, item text not null,
    quantity integer not null, cents integer not null, primary key (shop, order_id)
)
"""


def main(target: str) -> None:
    """Read the batch, add it to `target`. A row that is there already is an error, not a second row."""
    rows = [tuple(row) for row in csv.reader(sys.stdin)]
    with closing(sqlite3.connect(target)) as database, database:
        database.execute(SCHEMA)
        database.executemany("insert into orders values (?, ?, ?, ?, ?, ?)", rows)
    print(f"loaded {len(rows)} orders")


if __name__ == "__main__":
    main(*sys.argv[1:])
