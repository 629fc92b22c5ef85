"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on a Unix socket, as no superuser.

Owns its start and its end. Must not know what is kept in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import SERVERLESS

INSTALLED = "/usr/lib/postgresql"
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `folder` holds its socket."""

    folder: Path

    def url(self, database: str) -> str:
        """What libpq takes."""
        return f"postgresql:///{database}?host={self.folder}&user=app"

    def ask(self, database: str, *arguments: str) -> str:
        """What psql prints."""
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", *arguments, self.url(database)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def dump(self, database: str) -> str:
        """All of a database as SQL, without what differs from one call to the next."""
        command = ["pg_dump", "--no-owner", "--inserts", self.url(database)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return "\n".join(line for line in said.splitlines() if not line.startswith(("\\", "--")))


def _programs() -> Path:
    found = sorted(Path(INSTALLED).glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found and shutil.which("psql") and shutil.which("pg_dump"):
        return found[-1].parent
    # A check that is believed must not go without it.
    if os.environ.get("CI"):
        pytest.fail(f"{SERVERLESS}, and in CI it must be: apt-get install postgresql", pytrace=False)
    pytest.skip(SERVERLESS)


@contextmanager
def running() -> Iterator[Server]:
    """A server, ended with all that is in it. Skips where PostgreSQL is not installed; in CI it fails there."""
    programs = _programs()
    # Not pytest's folder: PostgreSQL refuses the superuser, and nobody else can get in there.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    log = folder.with_suffix(".log")
    try:
        server = _started(programs, folder, log)
        try:
            _wait(programs, folder, server, log)
            yield Server(folder)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    finally:
        shutil.rmtree(folder)
        log.unlink(missing_ok=True)


def _started(programs: Path, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Make the cluster and start its server. It may lose all at a power cut: it is gone after the tests."""
    folder.chmod(0o755)
    other: list[str] = []
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    made = [f"{programs}/initdb", "-D", f"{folder}/data", "-U", "app", "-A", "trust", "-E", "UTF8", "--no-locale"]
    serve = [f"{programs}/postgres", "-D", f"{folder}/data", "-c", f"unix_socket_directories={folder}"]
    with open(log, "wb") as said:
        done = subprocess.run([*other, *made, "--no-sync"], cwd=folder, stdout=said, stderr=said, check=False)
        assert done.returncode == 0, log.read_text()
        command = [*other, *serve, "-c", "listen_addresses=", "-c", "fsync=off"]
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)


def _wait(programs: Path, folder: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    ready = [f"{programs}/pg_isready", "-q", "-h", str(folder), "-U", "app", "-d", "postgres"]
    while subprocess.run(ready, check=False).returncode:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
