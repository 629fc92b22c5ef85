"""Joining two changes of one text, by `git merge-file`. Owns the call; knows no trees."""

from __future__ import annotations

from typing import Literal

from gitckpt.plumbing import launch
from gitckpt.plumbing.process import environment_for
from gitckpt.plumbing.repository import Repository
from gitckpt.plumbing.scratch import scratch_folder

Touching = Literal["refused", "both"]
"""What becomes of changes that touch each other: there is no joined text, or it has the lines of both sides."""


def merge_text(
    repository: Repository, *, base: bytes, ours: bytes, theirs: bytes, touching: Touching = "refused"
) -> bytes | None:
    """The text with both changes; None where they touch each other and that is refused, or where a side is no text.

    Lines of both sides stand one after the other, ours first. Raises NoScratch.
    """
    if any(b"\0" in side for side in (base, ours, theirs)):
        return None
    options = ("--union",) if touching == "both" else ()
    with scratch_folder("gitckpt-merge-") as folder:
        names = []
        for name, data in (("ours", ours), ("base", base), ("theirs", theirs)):
            path = folder / name
            path.write_bytes(data)
            names.append(str(path))
        for _ in range(2):
            ended = launch.run(
                *("merge-file", "-p", "-q", *options, *names),
                environment=environment_for(repository),
                folder=str(repository.top),
            )
            if not ended.interrupted:  # a Ctrl-C of the terminal says nothing about the texts
                break
    # merge-file ends with the number of conflicts, and with 255 for an error.
    return ended.stdout if ended.code == 0 else None
