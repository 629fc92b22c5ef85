"""Join every shop's file into one table: the shop, the line's number, and its fields as they are."""

import csv
import sys
from pathlib import Path


def main(folder: str, target: str) -> None:
    """Read `folder`/*.csv, write `target`."""
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    with open(target, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["shop", "line", "order_id", "day", "item", "quantity", "price"])
        for source in sorted(Path(folder).glob("*.csv")):
            with open(source, newline="", encoding="utf-8") as lines:
                for number, row in enumerate(csv.DictReader(lines), start=2):
                    writer.writerow([source.stem, number, *(row[key] or "" for key in row)])
            print(f"read {source}")


if __name__ == "__main__":
    main(*sys.argv[1:])
