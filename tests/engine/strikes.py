"""Kills that fall from inside: the phase itself kills its runner with SIGKILL, at the very point that a test names.

Owns the blow and what is put beside a workflow so that it can fall. Must not know any scenario, nor gitckpt's code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.repo import Repo

_FROM_BASH = """\
strike() {
  if [ "${STRIKE_AT-}" = "$1" ]; then
    kill -9 -- "$(cat "$STRIKE_RUNNER")"
    exec sleep 60  # until it is found and ended: nothing after this point is done
  fi
}
"""

_FROM_PYTHON = """\
import atexit, os, signal, sqlite3, sys, time

def strike(point):
    if os.environ.get("STRIKE_AT") == f"{point} {step}":
        os.kill(int(open(os.environ["STRIKE_RUNNER"]).read()), signal.SIGKILL)
        time.sleep(60)  # until it is found and ended: nothing after this point is done

def traced(statement):
    if statement.startswith(("insert into migrations", "delete from migrations")):
        strike("inside")

def connect(*arguments, **options):
    database = real(*arguments, **options)
    database.set_trace_callback(traced)
    return database

words = sys.orig_argv
if len(words) == 4 and words[1] == "db.py" and words[2] in ("apply", "revert"):
    step = f"{words[2]} {os.path.basename(words[3])[:3]}"
    with open(os.environ["STRIKE_LOG"], "a") as log:
        print(step, os.environ["GITCKPT_IDEMPOTENCY_KEY"], file=log)
    strike("before")
    real, sqlite3.connect = sqlite3.connect, connect
    atexit.register(strike, "after")
"""


class Strikes:
    """What lies beside a repository so that its phases can strike, and the command line that is struck."""

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo = repo
        self._runner = folder / "runner"
        self.log = folder / "outside.log"
        """What left the workspace, in the order in which it did: a file that only ever grows."""
        self.log.touch()
        self.bash = folder / "strike.sh"
        """For a script to source: `strike POINT`."""
        self.bash.write_text(_FROM_BASH)
        modules = folder / "modules"
        modules.mkdir()
        # Every python3 that a phase starts loads this first; it acts in the example's `db.py` only.
        (modules / "sitecustomize.py").write_text(_FROM_PYTHON)
        paths = [str(modules), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {
            "PYTHONPATH": os.pathsep.join(paths),
            "STRIKE_SH": str(self.bash),
            "STRIKE_LOG": str(self.log),
            "STRIKE_RUNNER": str(self._runner),
        }

    def run(
        self, *arguments: str, ok: int | None = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`gitckpt ARGUMENTS`, left alone."""
        return self.repo.run(*arguments, ok=ok, env={**self.environment, **(env or {})})

    def killed(self, at: str, *arguments: str, group: bool, env: Mapping[str, str] | None = None) -> None:
        """`gitckpt ARGUMENTS`, killed at that point: the runner alone, or all of its process group."""
        minus = "-" if group else ""
        done = subprocess.run(
            ["sh", "-c", f'echo {minus}$$ > "$STRIKE_RUNNER"; exec "$@"', "sh", *command(*arguments)],
            cwd=self.repo.path,
            env={**os.environ, **self.environment, **(env or {}), "STRIKE_AT": at},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, f"not struck at {at}: {done.returncode}\n{done.stdout}{done.stderr}"

    def killed_when(self, path: Path, *arguments: str) -> bool:
        """`gitckpt ARGUMENTS`, killed with all its group as soon as a file has another content. Whether it was."""
        before = path.read_bytes()
        runner = subprocess.Popen(
            command(*arguments),
            cwd=self.repo.path,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while path.read_bytes() == before and runner.poll() is None:
            pass
        if runner.poll() is None:
            os.killpg(runner.pid, signal.SIGKILL)
        return runner.wait(60) == -signal.SIGKILL


def command(*arguments: str) -> list[str]:
    """The real command line."""
    return [sys.executable, "-m", "gitckpt", *arguments]
