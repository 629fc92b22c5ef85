"""A repository with a workflow, its runs in this very process with real phases, and what they leave.

Owns `Bed`, for tests of phases that are done for each item. Must not know any scenario.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.running import RunRequest, run_workflow
from gitckpt.api.writing import write
from gitckpt.engine.rewind import rollback
from gitckpt.model.manifest import Items, Manifest, state_of
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.names import PhaseName
from tests.repo import Repo

EACH = """\
version: 1
workflow: w
phases:
  each:
    foreach: {lines: items.txt}
    run: echo "$ITEM" >> done.txt; echo "$ITEM $GITCKPT_IDEMPOTENCY_KEY" >> ../outside
"""


class Bed:
    """A repository with a workflow, and how its runs are called."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.root = repo.path
        self.said: list[str] = []

    def define(self, text: str, **files: str | bytes) -> None:
        self.repo.write("gitckpt.yaml", text)
        for name, data in files.items():
            self.repo.write(f"{name}.txt", data)

    def phase(self, text: str, *more: str, **files: str | bytes) -> None:
        """A workflow of one phase `each`, whose keys are given, and what stands after it."""
        lines = "".join(f"    {line}\n" for line in text.strip().splitlines())
        self.define(f"version: 1\nworkflow: w\nphases:\n  each:\n{lines}" + "".join(more), **files)

    def run(self, **flags: Any) -> Stop:
        request = RunRequest(**flags)
        return run_workflow(Where(directory=self.root), request, Silent(), lambda: (None, 0)).stop

    def completes(self, **flags: Any) -> None:
        stop = self.run(**flags)
        assert stop.verdict is Verdict.COMPLETE, stop

    def fails(self, *words: str, **flags: Any) -> Stop:
        stop = self.run(**flags)
        assert stop.verdict is Verdict.FAILED, stop
        for word in words:
            assert word in stop.reason
        return stop

    @property
    def manifest(self) -> Manifest:
        with write(Where(directory=self.root), Silent()) as hold:
            return hold.at_tip.manifest

    def items(self, phase: str = "each") -> Items:
        found = state_of(self.manifest, PhaseName(phase)).items
        assert found is not None
        return found

    def counts(self, phase: str = "each") -> tuple[int, int, int, int]:
        """Done, failed, skipped, of how many."""
        items = self.items(phase)
        return items.done, items.failed, items.skipped, items.total

    def lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    def keys(self) -> Mapping[str, list[str]]:
        """The idempotency keys that went out for each item (or batch), in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for line in self.lines("../outside"):
            item, _, key = line.rpartition(" ")
            found[item].append(key)
        return found

    def outside(self) -> list[str]:
        """The items that went out, in order."""
        return [line.rpartition(" ")[0] for line in self.lines("../outside")]

    def back_to(self, selector: str) -> None:
        with write(Where(directory=self.root), Silent()) as hold:
            assert rollback(hold, selector) is not None

    def numbers(self, words: str) -> list[str]:
        """The ids of the checkpoints whose subject has these words, newest first."""
        log = self.repo.git("log", "--first-parent", "--format=%H %s", "gitckpt/w").splitlines()
        return [line.split()[0] for line in log if words in line]

    def failing(self, *items: str) -> None:
        """Whatever looks for `../fails-ITEM` finds it for these items, and no others."""
        for path in self.root.parent.glob("fails-*"):
            path.unlink()
        for item in items:
            (self.root.parent / f"fails-{item}").touch()
