"""Orders of three regions: extracted one region at a time, totalled in batches of files, published once approved.

Run it: gitckpt --file flow.py run, or: python flow.py
"""

import csv
import json
import random
from pathlib import Path

import gitckpt

flow = gitckpt.Flow(
    "orders",
    params={"SINCE": {"default": "2020", "pattern": r"\d{4}"}},
    defaults={"timeout": "1m"},
)


def has_rows(ctx: gitckpt.Context) -> bool:
    """A region without orders is a failed extract: the phase is tried again, and nothing of it is kept."""
    return len(Path(f"raw/{ctx.item}.csv").read_text().splitlines()) > 1


@flow.phase(foreach=["north", "south", "west"], outs=["raw/*.csv"], validate=has_rows, retry={"max": 2, "delay": "1s"})
def extract(ctx: gitckpt.Context) -> None:
    """Each region is an item: a checkpoint of its own, and no region is extracted twice."""
    since = int(ctx.params["SINCE"])
    dice = random.Random(ctx.item)  # stands for a service
    Path("raw").mkdir(exist_ok=True)
    with open(f"raw/{ctx.item}.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["year", "amount"])
        rows.writerows([since + n % 4, dice.randrange(1, 100)] for n in range(40))
    ctx.log(f"{ctx.item}: 40 orders since {since}")


@flow.phase(foreach={"glob": "raw/*.csv", "sort": "name"}, batch=2, outs=["totals/*.json"])
def total(ctx: gitckpt.Context) -> None:
    """Two files for each call. What is counted in `data` is counted once, whatever was cut off before."""
    Path("totals").mkdir(exist_ok=True)
    for path in map(Path, ctx.items):
        with path.open(newline="") as file:
            amounts = [int(row["amount"]) for row in csv.DictReader(file)]
        Path(f"totals/{path.stem}.json").write_text(json.dumps({"orders": len(amounts), "amount": sum(amounts)}))
        ctx.data.incr("orders", len(amounts))


@flow.phase(outs=["report.json"])
def report(ctx: gitckpt.Context) -> None:
    """A long phase makes a checkpoint where it can go on from, and looks for what it has when it is `resumed`."""
    if not ctx.resumed:
        regions = {path.stem: json.loads(path.read_text()) for path in sorted(Path("totals").glob("*.json"))}
        Path("report.json").write_text(json.dumps(regions, indent=1))
        ctx.checkpoint("regions are in the report")
    found = json.loads(Path("report.json").read_text())
    found["all"] = {"orders": ctx.data["orders"], "amount": sum(each["amount"] for each in found.values())}
    Path("report.json").write_text(json.dumps(found, indent=1))


flow.gate("approve", prompt="Publish the report?", show="diff report")


def withdraw(_: gitckpt.Context) -> None:
    """Undoes `publish`, on the way back past it."""
    Path("../published.json").unlink(missing_ok=True)


@flow.phase(compensate=withdraw)
def publish(ctx: gitckpt.Context) -> None:
    """Done outside of the workspace, so a rollback alone does not undo it."""
    Path("../published.json").write_text(Path("report.json").read_text())
    ctx.log(f"published, with the key {ctx.idempotency_key}")


if __name__ == "__main__":
    flow.main()
