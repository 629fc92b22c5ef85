"""An act on the disk ended before each of its changes in turn, as by a kill, and whiteouts for it to meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitckpt.workspace.marks import make_whiteout


def whiteout(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder, os.O_RDONLY)
    make_whiteout(number, os.fsencode(name))
    os.close(number)


class Killed(BaseException):
    """Stands for the signal that nobody sees."""


def ended_anywhere(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], None], go: Callable[[], object]
) -> Iterator[int]:
    """Make and run again and again, ended before each of its changes of the disk in turn."""
    calls = ("rename", "unlink", "rmdir", "mkdir", "link", "chmod")
    own = {name: getattr(os, name) for name in calls}
    for limit in range(200):
        make()
        done = 0

        def counted(name: str) -> Callable[..., object]:
            def call(*arguments: object, **more: object) -> object:
                nonlocal done
                if done == limit:  # noqa: B023 - it is called in this turn only
                    raise Killed
                done += 1
                return own[name](*arguments, **more)

            return call

        with monkeypatch.context() as patched:
            for name in calls:
                patched.setattr(os, name, counted(name))
            try:
                go()
            except Killed:
                pass
            else:
                assert limit > 5
                return
        yield limit
    raise AssertionError("it never came to an end")
