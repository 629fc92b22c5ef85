"""Lists of a million items: how long each use of one takes, and the most memory that its whole process had.

Each row is a process of its own; its memory (the kernel's `ru_maxrss`) includes Python and what gitckpt imports,
which the row `imports only` shows alone. The limit of the project is 150 MB.

    python benchmarks/bench_lists.py [--items 1000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from gitckpt.model.listing import Item
from gitckpt.model.repeat import Foreach
from gitckpt.store.lists import EqualKeys, ItemList, carry_over, write_list
from gitckpt.workspace.sources import read_items

LIMIT_MB = 150


def prepare(root: Path, count: int) -> None:
    """One file of each kind with the same rows; their list, and one with an item more in front."""
    with (root / "lines").open("w") as file:
        file.writelines(f"customers/{n:08}\n" for n in range(count))
    with (root / "csv").open("w") as file:
        file.write("id,name\n")
        file.writelines(f"{n},customer {n}\n" for n in range(count))
    with (root / "jsonl").open("w") as file:
        file.writelines(f'{{"id": {n}, "name": "customer {n}"}}\n' for n in range(count))
    (root / "json").write_text(json.dumps([f"customers/{n:08}" for n in range(count)]))
    lines = Foreach(lines="lines")
    write_list(read_items(root, lines, None, None), root / "list")
    write_list(chain((Item(b"added", b"added"),), read_items(root, lines, None, None)), root / "later")


def frozen(source: Foreach) -> Callable[[Path], None]:
    """Read the source and write the list."""

    def use(root: Path) -> None:
        write_list(read_items(root, source, None, None), root / "made")

    return use


def equal_keys(root: Path) -> None:
    again = (Item(b"customers/00000007", b"customers/00000007"),)
    try:
        write_list(chain(read_items(root, Foreach(lines="lines"), None, None), again), root / "made")
    except EqualKeys:
        return
    raise AssertionError("the equal keys were not found")


def halves(root: Path) -> Iterator[Item]:
    """Every key twice, far apart: the most that can be suspected."""
    for _ in range(2):
        yield from read_items(root, Foreach(lines="lines"), None, None)


def all_equal(root: Path) -> None:
    try:
        write_list(halves(root), root / "made")
    except EqualKeys:
        return
    raise AssertionError("the equal keys were not found")


def walk(root: Path) -> None:
    listed = ItemList(root / "list")
    deque(listed.items(range(listed.total)), maxlen=0)


def ten_thousand(root: Path) -> None:
    listed = ItemList(root / "list")
    step = max(1, listed.total // 10_000)
    deque((listed.item(index) for index in range(0, listed.total, step)), maxlen=0)


def find_last(root: Path) -> None:
    listed = ItemList(root / "list")
    assert listed.find(listed.item(listed.total - 1).key) == listed.total - 1


def carried(root: Path) -> None:
    old, new = ItemList(root / "list"), ItemList(root / "later")
    assert carry_over(old, [(0, old.total - 1)], new) == ((1, old.total),)


USES: dict[str, Callable[[Path], object]] = {
    "imports only": lambda _: None,
    "freeze lines": frozen(Foreach(lines="lines")),
    "freeze csv, with a key": frozen(Foreach(csv="csv", key="id")),
    "freeze json lines, with a key": frozen(Foreach(json="jsonl", key="id")),
    "freeze a json list": frozen(Foreach(json="json")),
    "freeze lines, sorted by name": frozen(Foreach(lines="lines", sort="name")),
    "freeze lines, natural order": frozen(Foreach(lines="lines", sort="natural")),
    "the last key equals the 8th": equal_keys,
    "each key stands twice": all_equal,
    "open": lambda root: ItemList(root / "list"),
    "read all, in order": walk,
    "read 10,000 one by one": ten_thousand,
    "find the last key": find_last,
    "carry all over, one added": carried,
}


def measure(about: str, root: Path) -> None:
    begun = time.perf_counter()
    USES[about](root)
    took = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(f"{about:32} {took:7.2f} s  {megabytes:6.0f} MB{'' if megabytes < LIMIT_MB else '  over the limit'}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--items", type=int, default=1_000_000)
    options.add_argument("--one", nargs=2, metavar=("USE", "FOLDER"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.one:
        about, folder = chosen.one
        if about == "prepare":
            prepare(Path(folder), chosen.items)
        else:
            measure(about, Path(folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        # This process stays small: on Linux the peak of a parent is where that of its child begins.
        for about in ("prepare", *USES):
            command = [sys.executable, __file__, "--items", str(chosen.items), "--one", about, folder]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
