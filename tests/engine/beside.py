"""What phases that ran side by side have left, by plain git and `/proc`: shares no code with what it looks at.

Owns the reading of merged histories, and the search for what no run may leave. Must not know any scenario.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_OUR_ENTRY = re.compile(rb"40000 \.gitckpt\0.{20}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A checkpoint: `words` is its subject without the number, `files` the bytes of its tree without our own entry."""

    oid: str
    parents: tuple[str, ...]
    words: str
    files: bytes

    @property
    def phase(self) -> str:
        """The phase that its subject begins with."""
        return self.words.split()[0]


def asked(root: Path, *arguments: str, given: str = "") -> bytes:
    """Plain git, as an onlooker asks it: it takes no lock and writes nothing."""
    command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
    return subprocess.run(command, input=given.encode(), capture_output=True, check=True).stdout


def history(root: Path, branch: str = "gitckpt/w") -> list[Point]:
    """The checkpoints of the branch, oldest first."""
    said = asked(root, "log", "--first-parent", "--reverse", "--format=%H%x09%P%x09%s", branch).decode().splitlines()
    rows = [line.split("\t") for line in said]
    trees = _trees(root, [oid for oid, _, _ in rows])
    return [
        Point(oid=oid, parents=tuple(parents.split()), words=subject.partition(" ")[2], files=tree)
        for (oid, parents, subject), tree in zip(rows, trees, strict=True)
    ]


def _trees(root: Path, commits: Sequence[str]) -> list[bytes]:
    said = asked(root, "cat-file", "--batch", given="".join(f"{oid}^{{tree}}\n" for oid in commits))
    found = []
    while said:
        head, _, said = said.partition(b"\n")
        size = int(head.split()[2])
        found.append(_OUR_ENTRY.sub(b"", said[:size]))
        said = said[size + 1 :]
    return found


def merges(points: Iterable[Point]) -> dict[str, Point]:
    """The merge checkpoints by phase."""
    return {point.phase: point for point in points if len(point.parents) > 1}


def changed(root: Path, commits: Iterable[str]) -> dict[str, set[str]]:
    """The paths that each commit changed against its first parent, ours aside."""
    wanted = list(commits)
    parents = asked(root, "rev-parse", *(f"{oid}^1" for oid in wanted)).decode().split() if wanted else []
    pairs = "".join(f"{oid} {parent}\n" for oid, parent in zip(wanted, parents, strict=True))
    said = asked(root, "diff-tree", "-r", "--no-renames", "--name-only", "--stdin", given=pairs).decode()
    found: dict[str, set[str]] = {oid: set() for oid in wanted}
    at: set[str] = set()
    for line in said.splitlines():
        if line in found:
            at = found[line]
        elif not line.startswith(".gitckpt/"):
            at.add(line)
    return found


def credited(root: Path, branch: str = "gitckpt/w") -> dict[str, set[str]]:
    """What each merged phase is credited with: the paths that its own commit, the merge's second parent, changed."""
    own = {phase: point.parents[1] for phase, point in merges(history(root, branch)).items()}
    found = changed(root, own.values())
    return {phase: found[oid] for phase, oid in own.items()}


def left_over(root: Path) -> list[str]:
    """What a run must not leave: views, mounts anywhere on the machine, processes, refs for what is on its way."""
    views = list((root / ".git" / "gitckpt" / "workspaces").glob("*/views/*"))
    kept = asked(root, "for-each-ref", "--format=%(refname)", "refs/gitckpt").decode().split()
    on_its_way = [ref for ref in kept if "/inflight" in ref or "/finished/" in ref]
    return [*map(str, views), *on_its_way, *_processes(root)]


def _processes(root: Path) -> list[str]:
    """Those that work below the workspace, or see anything mounted there: a namespace lives as long as one is in it."""
    found, mine = [], str(root)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            below = (entry / "cwd").readlink().is_relative_to(root)
            if below or mine in (entry / "mountinfo").read_text():
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                said = (entry / "cmdline").read_bytes().replace(b"\0", b" ")[:200]
                found += [] if state == "Z" else [f"{entry.name} {state} {said!r}"]
        except OSError:  # it has just ended, or is not ours to look at
            continue
    return found
