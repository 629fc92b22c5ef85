"""Whole workflows without processes: what each command does is a function, called in this very process.

Owns what the commands of random workflows do: to the workspace, where each item leaves one line, and to the world
outside, a file that only ever grows. Must not know what is tested.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitckpt.execute.process import Job, Step
from gitckpt.execute.stamp import mark_started
from tests.properties.scripted import Pretended, result

ENDED = "ended.txt"
"""The file of the workspace to which the command of `always` adds how the run ended."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What went outside: a command of a phase, for these items, under this key."""

    phase: str
    verb: str
    items: tuple[str, ...]
    key: str


class World:
    """Everything outside the workspace: it outlives every death and every rollback."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def send(self, sent: Sent) -> None:
        line = json.dumps([sent.phase, sent.verb, sent.items, sent.key]) + "\n"
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line)

    @property
    def sent(self) -> list[Sent]:
        rows = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return [Sent(phase, verb, tuple(items), key) for phase, verb, items, key in rows]

    def times(self, phase: str, items: tuple[str, ...]) -> int:
        return sum(each.phase == phase and each.verb == "run" and each.items == items for each in self.sent)

    def keys(self) -> Mapping[tuple[str, tuple[str, ...]], set[str]]:
        """The idempotency keys under which each set of items of a phase went out."""
        found: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
        for each in self.sent:
            if each.verb == "run":
                found[each.phase, each.items].add(each.key)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the commands do. `bad`: items (`phase/item`) that fail whenever they are tried; `flaky`: how often one fails
    before it succeeds; `rounds`: phases that fail until a file of the workspace has so many lines."""

    bad: Set[str] = frozenset()
    flaky: Mapping[str, int] = field(default_factory=dict)
    rounds: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def add(path: Path, *texts: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in texts)


@dataclass(slots=True)
class Acting:
    """The executor."""

    world: World
    plan: Plan

    def start(self, job: Job) -> Pretended:
        job.output.write_text("said\n")
        mark_started(str(job.state_dir))
        passed = 0
        for number, step in enumerate(job.steps):
            code = self._do(job.cwd, step, {**job.env, **step.env})
            if code:
                return Pretended(code, replace(result(code), step=step.name, units=passed))
            following = job.steps[number + 1 : number + 2]
            passed += not following or following[0].unit != step.unit
        return Pretended(0, replace(result(0), units=passed))

    def _do(self, root: Path, step: Step, env: Mapping[str, str]) -> int:
        if "GITCKPT_STATUS" in env:
            add(root / ENDED, env["GITCKPT_STATUS"])
            return 0
        if step.name.startswith("counter"):
            assert step.stdout is not None
            step.stdout.write_text(f"{len(lines(root / 'out' / env['GITCKPT_PHASE']))}\n")
            return 0
        return self._work(root, step, env)

    def _work(self, root: Path, step: Step, env: Mapping[str, str]) -> int:
        phase, items = env["GITCKPT_PHASE"], _items(step, env)
        names = [f"{phase}/{item}" for item in items]
        before = self.world.times(phase, items)
        self.world.send(Sent(phase, step.name, items, env["GITCKPT_IDEMPOTENCY_KEY"]))
        if step.name != "run":
            return 0
        add(root / "out" / phase, *items)
        if any(name in self.plan.bad for name in names) or before < max(self.plan.flaky.get(n, 0) for n in names):
            return 3
        if phase not in self.plan.rounds:
            return 0
        of, wanted = self.plan.rounds[phase]
        return 3 if len(lines(root / "out" / of)) < wanted else 0


def _items(step: Step, env: Mapping[str, str]) -> tuple[str, ...]:
    if "GITCKPT_BATCH_FILE" in env:
        return tuple(lines(Path(env["GITCKPT_BATCH_FILE"])))
    if step.stdin is not None:
        return tuple(lines(step.stdin))
    if "GITCKPT_BATCH_ID" in env:
        return step.argv[step.argv.index("gitckpt") + 1 :]
    return (env.get("GITCKPT_ITEM", "whole"),)
