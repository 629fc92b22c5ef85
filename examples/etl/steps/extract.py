"""One shop's file as a table of raw lines: the shop, the line's number, and its fields as they are."""

import csv
import sys
from pathlib import Path


def main(source: str, target: str) -> None:
    """Read `source`, write `target`."""
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    shop = Path(source).stem
    with (
        open(source, newline="", encoding="utf-8") as lines,
        open(target, "w", newline="", encoding="utf-8") as out,
    ):
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["shop", "line", "order_id", "day", "item", "quantity", "price"])
        for number, row in enumerate(csv.DictReader(lines), start=2):
            writer.writerow([shop, number, *(row[key] or "" for key in row)])


if __name__ == "__main__":
    main(*sys.argv[1:])
