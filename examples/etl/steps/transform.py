"""Sort raw lines into orders and rejected lines; amounts become whole cents, so that sums are exact."""

import csv
import os
import re
import sys
from decimal import Decimal, InvalidOperation


def problem(row: dict[str, str], seen: set[tuple[str, str]], since: str) -> str:
    """Why a line is no order; empty for a good one."""
    if (row["shop"], row["order_id"]) in seen:
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


def main(source: str, good: str, bad: str) -> None:
    """Read `source`, write `good` and `bad`."""
    since = os.environ.get("SINCE", "0000-00-00")
    seen: set[tuple[str, str]] = set()
    kept = rejected = 0
    with (
        open(source, newline="", encoding="utf-8") as lines,
        open(good, "w", newline="", encoding="utf-8") as orders,
        open(bad, "w", newline="", encoding="utf-8") as left,
    ):
        order_writer = csv.writer(orders, lineterminator="\n")
        order_writer.writerow(["shop", "order_id", "day", "item", "quantity", "cents"])
        left_writer = csv.writer(left, lineterminator="\n")
        left_writer.writerow(["shop", "line", "order_id", "why"])
        for row in csv.DictReader(lines):
            why = problem(row, seen, since)
            if why:
                rejected += 1
                left_writer.writerow([row["shop"], row["line"], row["order_id"], why])
                continue
            kept += 1
            seen.add((row["shop"], row["order_id"]))
            cents = int(row["quantity"]) * int(Decimal(row["price"]) * 100)
            item = row["item"].strip().lower()
            order_writer.writerow([row["shop"], row["order_id"], row["day"], item, row["quantity"], cents])
    print(f"{kept} orders, {rejected} rejected")


if __name__ == "__main__":
    main(*sys.argv[1:])
