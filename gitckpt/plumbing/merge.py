"""Joining two changes of one text, by `git merge-file`. Owns the call; knows no trees."""

from __future__ import annotations

from gitckpt.plumbing import launch
from gitckpt.plumbing.process import environment_for
from gitckpt.plumbing.repository import Repository
from gitckpt.plumbing.scratch import scratch_folder


def merge_text(repository: Repository, *, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The text with both changes; None where they touch each other, or where a side is no text. Raises NoScratch."""
    if any(b"\0" in side for side in (base, ours, theirs)):
        return None
    with scratch_folder("gitckpt-merge-") as folder:
        names = []
        for name, data in (("ours", ours), ("base", base), ("theirs", theirs)):
            path = folder / name
            path.write_bytes(data)
            names.append(str(path))
        ended = launch.run(
            "merge-file", "-p", "-q", *names, environment=environment_for(repository), folder=str(repository.top)
        )
    # merge-file ends with the number of conflicts, and with 255 for an error.
    return ended.stdout if ended.code == 0 else None
