"""How many bytes of the object store would be free without some commits. Owns the question; deletes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from gitckpt.errors import GitFailed, GitTimedOut
from gitckpt.model.names import Oid
from gitckpt.plumbing.process import git
from gitckpt.plumbing.repository import Repository

_PATIENCE_S = 30.0


def bytes_only_in(repository: Repository, gone: Sequence[Oid], kept: Sequence[str]) -> int | None:
    """About how many bytes on disk only the commits `gone` and those before them need. `kept`: what shares objects with
    them (revisions, as `<commit>^{tree}`). None where git cannot tell within half a minute.
    """
    if not gone:
        return 0
    revisions = "".join(f"{line}\n" for line in (*gone, *(f"^{each}" for each in kept)))
    try:
        said = git(
            repository,
            "rev-list",
            "--objects",
            "--disk-usage",
            "--stdin",
            stdin=revisions.encode("ascii"),
            timeout=_PATIENCE_S,
        )
    except (GitFailed, GitTimedOut):
        return None
    return int(said)
