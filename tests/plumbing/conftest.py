"""Real repositories of both object formats, and real git beside them to say what is right."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.plumbing.objects import Signature
from gitckpt.plumbing.repository import Repository, discover

Plain = Callable[..., bytes]


def _plain(folder: Path, *arguments: str | bytes, stdin: bytes = b"", ok: tuple[int, ...] = (0,)) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=folder, input=stdin, capture_output=True, check=False)
    if done.returncode not in ok:
        raise AssertionError(f"git {arguments} ended with {done.returncode}: {done.stderr!r}")
    return done.stdout + done.stderr if "fsck" in arguments else done.stdout


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    """Git as a user runs it, `plain(folder, "log", ...)`, with nobody's configuration."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("xdg")))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Tess")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tess@example.org")
    return _plain


@pytest.fixture(params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path: Path, plain: Plain) -> Repository:
    """An empty repository, once in each object format."""
    top = tmp_path / "home of it"
    plain(tmp_path, "init", "-q", "-b", "main", f"--object-format={request.param}", str(top))
    return discover(top)


@pytest.fixture
def anyone() -> Signature:
    """Who makes the commits."""
    return Signature(name="Ann Example", email="ann@example.org", seconds=1_700_000_000, offset_minutes=-210)
