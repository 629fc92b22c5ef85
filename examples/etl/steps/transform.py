"""Sort a shop's raw lines into orders and rejected lines; amounts become whole cents, so that sums are exact."""

import csv
import os
import re
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path


def problem(row: dict[str, str], seen: set[str], since: str) -> str:
    """Why a line is no order; empty for a good one."""
    if row["order_id"] in seen:
        return "order twice"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", row["day"]):
        return "bad day"
    if row["day"] < since:
        return f"before {since}"
    if not row["quantity"].isdigit() or int(row["quantity"]) == 0:
        return "bad quantity"
    try:
        price = Decimal(row["price"])
    except InvalidOperation:
        return "bad price"
    return "" if price >= 0 and price == price.quantize(Decimal("0.01")) else "bad price"


def main(source: str, build: str) -> None:
    """Read `source`, write `build`/orders/ and `build`/rejected/, each without a heading: one record a line."""
    since = os.environ.get("SINCE", "0000-00-00")
    seen: set[str] = set()
    good, bad = (Path(build, folder, Path(source).name) for folder in ("orders", "rejected"))
    for target in (good, bad):
        target.parent.mkdir(exist_ok=True)
    with (
        open(source, newline="", encoding="utf-8") as lines,
        open(good, "w", newline="", encoding="utf-8") as orders,
        open(bad, "w", newline="", encoding="utf-8") as left,
    ):
        order_writer = csv.writer(orders, lineterminator="\n")
        left_writer = csv.writer(left, lineterminator="\n")
        for row in csv.DictReader(lines):
            why = problem(row, seen, since)
            if why:
                left_writer.writerow([row["shop"], row["line"], row["order_id"], why])
                continue
            seen.add(row["order_id"])
            cents = int(row["quantity"]) * int(Decimal(row["price"]) * 100)
            item = row["item"].strip().lower()
            order_writer.writerow([row["shop"], row["order_id"], row["day"], item, row["quantity"], cents])


if __name__ == "__main__":
    main(*sys.argv[1:])
