"""Which of gitckpt's refs a push would take along by the repository's configuration. Reads it; pushes nothing."""

from __future__ import annotations

import os

from gitckpt.plumbing.process import user_git
from gitckpt.plumbing.repository import Repository

_OURS = ("refs/heads/gitckpt/x", "refs/tags/gitckpt/x/0001-y", "refs/gitckpt/x/attempts/y/1")
_WHAT = ("the checkpoint branches", "the tags", "attempts and rescues")


def pushed_along(repository: Repository) -> list[tuple[str, str]]:
    """What a plain `git push` takes of gitckpt's, and the setting that says so: `("the tags", "remote.origin.push =
    refs/tags/*")`. Raises GitFailed.
    """
    said = user_git(
        repository,
        "config",
        "-z",
        "--get-regexp",
        r"^(remote\..*\.(push|mirror)|push\.default)$",
        ok=(0, 1),
    )
    found = []
    for line in said.split(b"\0"):
        key, _, value = os.fsdecode(line).partition("\n")
        taken = _taken(key, value)
        if taken:
            found.append((", ".join(taken), f"{key} = {value or 'true'}"))
    return found


def _taken(key: str, value: str) -> list[str]:
    if key.endswith(".mirror"):
        return list(_WHAT) if value.lower() in ("", "true", "yes", "on", "1") else []
    if key == "push.default":
        # Only branches that the remote has already; then each checkpoint goes there, too.
        return [_WHAT[0]] if value.lower() == "matching" else []
    if key.endswith(".push"):
        source = value.lstrip("+").partition(":")[0]
        if not source:
            return [_WHAT[0]] if value.lstrip("+") == ":" else []
        full = source if source.startswith("refs/") else f"refs/heads/{source}"
        return [what for what, ref in zip(_WHAT, _OURS, strict=True) if _covers(full, ref)]
    return []


def _covers(pattern: str, ref: str) -> bool:
    before, star, after = pattern.partition("*")
    # What stands for all of ours stands for any of them: `x` and `y` are only places for names.
    return bool(star) and ref.startswith(before) and ref.endswith(after)
