"""A phase over a million items from a file: memory, time, and the cost of a checkpoint at its start, middle and end.

`python benchmarks/bench_items.py [--items N] [--batch N]`. Each batch is a process and a checkpoint. Prints the peak
memory of the run itself (not of the commands it starts), milliseconds a checkpoint at 1, 50 and 99 % of the items, and
the bytes of the manifest there: all three should be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

AT = (1, 50, 99)
NEIGHBOURS = 10
FLOW = """\
version: 1
workflow: million
phases:
  load:
    foreach: {{lines: items.txt}}
    batch: {{size: {size}, input: stdin}}
    run: wc -l > count
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=5_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        subprocess.run(["git", "init", "-q", place], check=True)
        with open(place / "items.txt", "w") as file:
            file.writelines(f"customer-{number:07d}\n" for number in range(asked.items))
        (place / "gitckpt.yaml").write_text(FLOW.format(size=asked.batch))
        report(place, asked.items, *run(place))


def run(place: Path) -> tuple[list[float], int, float]:
    """When each batch had landed, the peak memory in KiB, and the seconds of all."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "gitckpt", "run", "--json"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    landed: list[float] = []
    peak = 0
    for line in process.stdout:
        if json.loads(line)["event"] == "items_ended":
            landed.append(time.monotonic())
            peak = max(peak, memory(process.pid))
    if process.wait() != 0:
        raise SystemExit(f"the run ended with {process.returncode}")
    return landed, peak, time.monotonic() - began


def memory(pid: int) -> int:
    """The most KiB that the process has held so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def report(place: Path, items: int, landed: Sequence[float], peak: int, seconds: float) -> None:
    steps = [after - before for before, after in pairwise(landed)]
    print(f"{items:,} items, {len(landed):,} checkpoints, {seconds:.1f} s in all, at most {peak / 1024:.0f} MiB")
    for percent in AT:
        middle = max(NEIGHBOURS, min(len(steps) - NEIGHBOURS, len(steps) * percent // 100))
        cost = statistics.median(steps[middle - NEIGHBOURS : middle + NEIGHBOURS]) * 1000
        back = len(landed) - 1 - len(landed) * percent // 100
        spec = f"gitckpt/million~{max(back, 0)}:.gitckpt/state.json"
        size = subprocess.run(["git", "cat-file", "-s", spec], cwd=place, capture_output=True, text=True, check=True)
        print(f"  at {percent:2} %: {cost:6.1f} ms a checkpoint, a manifest of {size.stdout.strip()} bytes")


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
