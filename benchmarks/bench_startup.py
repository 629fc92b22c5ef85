"""How long a person waits before the first word: `gitckpt --help` and `gitckpt status` against `import click`.

Side by side in one run, whole processes, medians. Bytecode must be cached: use a real installation
(`pip install .`), and no PYTHONDONTWRITEBYTECODE.

    python benchmarks/bench_startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKFLOW = "version: 1\nworkflow: bench\nphases:\n  a: {run: echo a > a}\n  b: {run: echo b > b}\n"


def seconds(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """One run of a whole process."""
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    chosen = options.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = [sys.executable, "-m", "gitckpt"]
    commands = {
        "import click": [sys.executable, "-c", "import click"],
        "--help": [*program, "--help"],
        "status": [*program, "status"],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["git", "init", "-q", folder], check=True)
        (folder / "gitckpt.yaml").write_text(WORKFLOW)
        subprocess.run([*program, "run", "-q"], cwd=folder, env=environment, check=True)
        took: dict[str, list[float]] = {about: [] for about in commands}
        for turn in range(chosen.rounds + 1):
            for about, command in commands.items():
                spent = seconds(command, folder, environment)
                if turn:  # the first round fills the caches
                    took[about].append(spent)
    base = statistics.median(took["import click"])
    for about, times in took.items():
        middle = statistics.median(times)
        print(f"{about:14} {middle * 1000:7.1f} ms  {middle / base:5.2f} x import click")


if __name__ == "__main__":
    main()
