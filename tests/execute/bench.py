"""A workspace for attempts, and processes that are watched from outside by pid and start time."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import gitckpt
from gitckpt.execute.executor import LocalExecutor
from gitckpt.execute.process import Job, Result, Running, Step, shell_argv
from gitckpt.execute.processes import Stat, stat_of

PACKAGE_ROOT = Path(gitckpt.__file__).parents[1]


def eventually(true: Callable[[], bool], within_s: float = 5.0) -> bool:
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def runs(pid: int) -> bool:
    found = stat_of(pid)
    return found is not None and found.state not in "ZX"


@dataclass(slots=True)
class Bench:
    """One workspace, one state folder, and what was started in them."""

    path: Path
    begun: list[Running] = field(default_factory=list)
    executor: LocalExecutor = field(default_factory=LocalExecutor)

    @property
    def workspace(self) -> Path:
        return self.path / "work space"

    @property
    def live(self) -> Path:
        return self.workspace / ".gitckpt"

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def output(self) -> Path:
        return self.path / "output"

    @property
    def job(self) -> Job:
        return Job(
            steps=(),
            cwd=self.workspace,
            env={"PATH": os.environ["PATH"]},
            timeout_ms=None,
            grace_ms=300,
            output=self.output,
            validate_output=self.path / "validate",
            state_dir=self.state,
            live_dir=self.live,
        )

    def start(self, *steps: Step | str, **changes: object) -> Running:
        plan = tuple(Step("run", shell_argv("bash", step)) if isinstance(step, str) else step for step in steps)
        running = self.executor.start(replace(self.job, steps=plan, **changes))  # type: ignore[arg-type]
        self.begun.append(running)
        return running

    def run(self, *steps: Step | str, **changes: object) -> Result:
        return result_of(self.start(*steps, **changes))

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def pid(self, name: str) -> int:
        """The pid that a phase wrote to the file `name`, once it is there."""
        path = self.workspace / name
        assert eventually(lambda: path.exists() and path.read_text().endswith("\n")), f"{name} was never written"
        return int(path.read_text())

    def runner(self, command: str, **changes: object) -> subprocess.Popen[bytes]:
        """A process of its own that runs `command` as an attempt, and can be killed."""
        changed = "".join(f", {name}={value!r}" for name, value in changes.items())
        code = f"""
import sys, select
from pathlib import Path
sys.path.insert(0, {str(PACKAGE_ROOT)!r})
from dataclasses import replace
from pathlib import PosixPath
from gitckpt.execute.executor import LocalExecutor
from gitckpt.execute.process import *
job = {self.job!r}
executor = LocalExecutor()
running = executor.start(replace(job, steps=(Step("run", shell_argv("bash", {command!r})),){changed}))
select.select([running], [], [])
print(running.poll())
"""
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)

    def end(self) -> None:
        for running in self.begun:
            running.close()
        self.executor.close()
        for path in self.workspace.glob("*.pid"):
            text = path.read_text().strip()
            if text and runs(int(text)):
                os.kill(int(text), signal.SIGKILL)

    def stamp(self) -> int | None:
        try:
            return (self.live / "stamp").lstat().st_ctime_ns
        except FileNotFoundError:
            return None


def result_of(running: Running) -> Result:
    assert select.select([running], [], [], 20)[0], "no result within 20 s"
    result = running.poll()
    assert result is not None
    return result


def watchdog_of(state: Path) -> Stat:
    told = next(line for line in (state / "pids").read_text().splitlines() if line.endswith(" watchdog"))
    found = stat_of(int(told.split()[1]))
    assert found is not None
    return found
