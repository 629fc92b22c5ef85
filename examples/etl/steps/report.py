"""Print the totals by shop and month as a Markdown table."""

import sqlite3
import sys
from contextlib import closing

QUERY = """
select shop, substr(day, 1, 7), count(*), sum(cents) from orders group by 1, 2 order by 1, 2
"""


def main(source: str) -> None:
    """Read `source`, print the report."""
    with closing(sqlite3.connect(source)) as database:
        rows = database.execute(QUERY).fetchall()
    print("| shop | month | orders | total |")
    print("|---|---|---:|---:|")
    for shop, month, orders, cents in rows:
        print(f"| {shop} | {month} | {orders} | {cents // 100}.{cents % 100:02d} |")
    total = sum(row[3] for row in rows)
    print(f"\n{sum(row[2] for row in rows)} orders, {total // 100}.{total % 100:02d} in all")


if __name__ == "__main__":
    main(*sys.argv[1:])
