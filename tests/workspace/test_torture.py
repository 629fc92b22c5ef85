"""The hard workspace there and back, exactly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gitckpt.plumbing.content import Content
from gitckpt.workspace.rules import CaptureRules
from tests.workspace.desk import Desk

LOOSE = {"mtime", "dirmtime", "owner", "hardlink", "sparse", "xattr"}
NEVER_KEPT = {"special/sock", "special/null", "special/blk"}
EVERYTHING = CaptureRules(include=("*",))


def scanned(torture: ModuleType, root: Path) -> dict[str, dict[str, Any]]:
    """The exact manifest, without what a content never holds."""
    found: dict[str, dict[str, Any]] = torture.scan(str(root))
    for path in NEVER_KEPT:
        found.pop(path, None)
    for entry in found.values():
        if entry["type"] in ("file", "dir"):
            entry["mode"] &= 0o1777
    return {path: entry for path, entry in found.items() if path.split("/")[0] != ".gitckpt"}


def differences(torture: ModuleType, wanted: dict[str, Any], root: Path) -> list[Any]:
    return list(torture.compare(wanted, scanned(torture, root), LOOSE))


def test_the_torture_workspace_comes_back_exactly_in_any_order(desk: Desk, torture: ModuleType) -> None:
    tool = torture.__file__
    assert tool is not None
    # Everything is brought in, so that the comparison is of the whole workspace, ignored files and keys too.
    desk.rules = EVERYTHING
    subprocess.run([sys.executable, tool, "make", desk.root], check=True, capture_output=True)
    first = desk.take()
    assert {os.fsdecode(path) for path in first.not_kept} == (NEVER_KEPT if os.geteuid() == 0 else {"special/sock"})
    states: list[tuple[Content, dict[str, Any]]] = [(first.content, scanned(torture, desk.root))]
    subprocess.run([sys.executable, tool, "mutate", desk.root], check=True)
    states.append((desk.take().content, scanned(torture, desk.root)))
    order = random.Random(7)
    for generation in range(3):
        victims = sorted(path for path, entry in states[-1][1].items() if entry["type"] == "file" and "/" in path)
        for path in order.sample(victims, 20):
            full = os.path.join(os.fsencode(desk.root), os.fsencode(path))
            match order.randrange(4):
                case 0:
                    os.unlink(full)
                case 1:
                    os.chmod(full, 0o640)
                case 2:
                    with open(full, "ab") as out:
                        out.write(b"more %d\n" % generation)
                case 3:
                    os.unlink(full)
                    os.symlink(b"elsewhere", full)
        states.append((desk.take().content, scanned(torture, desk.root)))
    for content, wanted in order.choices(states, k=10):
        applied = desk.go(content)
        assert applied.kept == ()
        assert differences(torture, wanted, desk.root) == []
        assert desk.take().content == content, "the cache agrees with the disk"
        assert desk.fresh() == content, "a scan without cache agrees too"
    for content, _ in states:
        desk.commit(content)
    assert desk.git("fsck", "--strict", "--no-dangling") == ""
