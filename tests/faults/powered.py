"""A repository on a disk whose power is cut at any changing call of a whole story, and what must be there afterwards.

Owns the story, the cut, and the look at the disk when the power is back. `python -m tests.faults.powered SHIM FOLDER
KIND [FIRST STEP]` cuts at every call and counts.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.faults.disk import Disk, Kind
from tests.faults.scene import BRANCH, Blow, End, Scene

Flush = Literal["cut", "cutlog"]
"""What the disk still does when the power goes: nothing, or it ends with the journal written but not the data."""

WORKFLOW = f"""\
version: 1
workflow: demo
phases:
  one:
    run: |
      mkdir -p out/empty; seq 1 2000 > out/one; echo changed > kept
      {sys.executable} -m gitckpt state set rows 2000
  half:
    run: |
      seq 1 3000 > half.1
      if [ "$GITCKPT_RESUMED" != 1 ]; then
        {sys.executable} -m gitckpt checkpoint -m half && echo half >> "$REPORTS"
      fi
      echo more >> half.1
  flaky:
    run: seq 1 500 >> out/one; echo junk > junk; test "$GITCKPT_ATTEMPT" -gt 1; rm junk
    retry: {{max: 1, delay: 1ms}}
  two: {{run: 'cat out/one kept > two; ln -s two again; rm -r sub'}}
"""
STORY = (("run",), ("rollback", "one"), ("run",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """The story without a cut: its end, each checkpoint's files by number, those reported, and the calls made until
    each step's end."""

    end: End
    trees: dict[int, str]
    reported: frozenset[int]
    calls: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a story that was cut had said until then: in which step it was, and the checkpoints it reported."""

    step: int
    numbers: frozenset[int]
    halves: int
    said: str
    calls: tuple[int, ...] = ()


class Powered(Scene):
    """The scene on a disk of its own."""

    def __init__(self, folder: Path, shim: Path, kind: Kind) -> None:
        self.disk = Disk(kind, folder / "disk")
        self.disk.make()
        super().__init__(self.disk.at, shim)
        self._counter = folder / "counter"
        self._reports = folder / "reports"
        self.variables = {"FI_PATH": str(self.disk.at), "FI_MNT": str(self.disk.at), "REPORTS": str(self._reports)}
        (self.path / "gitckpt.yaml").write_text(WORKFLOW)
        self.disk.keep()

    def undisturbed(self) -> Undisturbed:
        """Tell the story in peace."""
        told = self.tell(Blow(at=0))
        assert told.step == len(STORY), told.said
        trees = dict(enumerate(self.trees(), start=1))
        assert told.numbers <= trees.keys()
        assert told.halves == 2
        return Undisturbed(end=self.end(), trees=trees, reported=told.numbers, calls=told.calls)

    def tell(self, blow: Blow, start: int = 0) -> Told:
        """Tell the story from a step on, until the blow falls."""
        self._counter.unlink(missing_ok=True)
        self._reports.unlink(missing_ok=True)
        numbers: set[int] = set()
        said = ""
        calls: list[int] = []
        step = start
        while step < len(STORY):
            done = self.counted(*STORY[step], blow=blow)
            said += done.stderr + done.stdout
            numbers |= _reported(done.stderr + done.stdout)
            if done.returncode or (blow.at and self.calls() >= blow.at):
                break
            calls.append(self.calls())
            step += 1
        halves = self._reports.read_text().count("half") if self._reports.exists() else 0
        return Told(step=step, numbers=frozenset(numbers), halves=halves, said=said, calls=tuple(calls))

    def strike(self, at: int, flush: Flush, calm: Undisturbed) -> Told:
        """Cut the power at one call, switch it on again, look, and tell the story to its end."""
        self.disk.put_back()
        told = self.tell(Blow(at=at, act=flush))
        self.aftermath(told, calm, f"{flush} at call {at} of step {told.step}:")
        return told

    def strike_when_told(self, number: int, calm: Undisturbed) -> Told:
        """Cut the power the moment a checkpoint is reported."""
        self.disk.put_back()
        said = ""
        step = -1
        while number not in _reported(said):
            step += 1
            with subprocess.Popen(
                [sys.executable, "-m", "gitckpt", *STORY[step]],
                cwd=self.path,
                env=self.environment(None),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ) as running:
                assert running.stdout is not None
                for line in running.stdout:
                    said += line
                    if number in _reported(line):
                        self.disk.cut()
                        os.killpg(running.pid, signal.SIGKILL)
        told = Told(step=step, numbers=frozenset(_reported(said)), halves=0, said=said)
        self.aftermath(told, calm, f"the moment {number} was reported in step {step}:")
        return told

    def aftermath(self, told: Told, calm: Undisturbed, where: str) -> None:
        """The power is back: look at what there is, and tell the story to its end."""
        self.disk.power_on()
        self.intact(told, calm, where)
        for command in STORY[told.step :]:
            again = self.gitckpt(*command)
            assert again.returncode == 0, f"{where} {again.stderr}"
        end = self.end()
        assert end == calm.end, f"{where} another end:\n{end}\n{calm.end}\n{self.edits()}"
        self.sound()
        self.tidy()
        assert self.edits() == "", f"{where} what the cut did was taken for the user's edits: {self.edits()}"
        rescued = self.git("for-each-ref", "refs/gitckpt/demo/rescue")
        assert rescued == "", f"{where} what the cut did was rescued as the user's: {rescued}"
        verified = self.gitckpt("verify")
        assert verified.returncode == 0, f"{where} {verified.stdout}{verified.stderr}"

    def edits(self) -> str:
        """The checkpoints of kind `edit`, with the paths that they changed."""
        return self.git("log", "--grep=^Gitckpt-Kind: edit", "--format=%s", "--stat", BRANCH)

    def intact(self, told: Told, calm: Undisturbed, where: str) -> None:
        """No object is damaged, and whatever was reported is there, with its files."""
        self.sound()
        trees = dict(enumerate(self.trees(), start=1))
        lost = [number for number in told.numbers if number not in trees]
        assert lost == [], f"{where} reported and lost: {lost}\n{told.said}"
        named = [line for line in self.subjects() if re.match(r"\d+ half named\b", line)]
        assert len(named) >= told.halves, f"{where} `checkpoint -m` returned and its checkpoint is lost"
        for number, tree in trees.items():
            assert tree == calm.trees.get(number), f"{where} checkpoint {number} holds other files"
        for path in (self.path / ".git/gitckpt").glob("workspaces/*/workspace.json"):
            assert isinstance(json.loads(path.read_bytes()), dict), f"{where} {path} cannot be read"


def _reported(said: str) -> set[int]:
    """The numbers of the checkpoints that a command said were made."""
    lines = re.findall(r"^\S+ \w+ (?:done|FAILED) .* (\d{4})$|checkpoint (\d{4})|Now at (\d{4})", said, re.MULTILINE)
    return {int(number) for number in itertools.chain(*lines) if number}


def main(shim: str, folder: str, kind: Kind, first: str = "1", step: str = "1") -> None:
    """Cut at every call, or at every STEPth from FIRST on; say what failed, and the counts."""
    scene = Powered(Path(folder), Path(shim), kind)
    calm = scene.undisturbed()
    counts: Counter[str] = Counter()
    for flush in ("cut", "cutlog"):
        for at in range(int(first), calm.calls[-1] + 1, int(step)):
            counts["cuts"] += 1
            try:
                scene.strike(at, flush, calm)
            except AssertionError as failed:
                counts["failed"] += 1
                print(f"{kind} {failed}"[:1500], flush=True)
        print(kind, flush, dict(counts), f"{calm.calls[-1]} calls", flush=True)
    scene.disk.unmount()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "xfs" if sys.argv[3] == "xfs" else "ext4", *sys.argv[4:])
