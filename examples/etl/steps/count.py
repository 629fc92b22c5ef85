"""Print how many orders a database holds."""

import sqlite3
import sys
from contextlib import closing


def main(source: str) -> None:
    """Ask `source`."""
    with closing(sqlite3.connect(source)) as database:
        print(database.execute("select count(*) from orders").fetchone()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
