"""Every object that some commits need, read and hashed again. Owns the check; knows nothing of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from gitckpt.errors import GitckptError
from gitckpt.model.names import Oid
from gitckpt.plumbing.objects import hasher
from gitckpt.plumbing.process import git
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

_IN_MEMORY = 32 * 1024 * 1024


def reachable(repository: Repository, tips: Sequence[Oid]) -> list[Oid]:
    """The ids of all objects reachable from `tips`. Raises GitFailed naming the first one that is missing."""
    said = git(repository, "rev-list", "--objects", "--no-object-names", "--end-of-options", *tips, "--", timeout=600)
    return [Oid(line) for line in said.decode("ascii").split()]


def problem_of(repository: Repository, reader: Reader, oid: Oid) -> str | None:
    """Why an object cannot be trusted; None when its bytes are those it is named for."""
    raw = bytes.fromhex(oid)
    try:
        size = reader.size(raw)
        if size > _IN_MEMORY:
            digest = hasher(repository.object_format)(f"blob {size}\0".encode())
            reader.stream(raw, digest.update)
        else:
            found = reader.read(oid)
            if found is None:
                return "the object is missing"
            kind, data = found
            digest = hasher(repository.object_format)(f"{kind} {size}\0".encode())
            digest.update(data)
    except GitckptError as error:
        return error.message
    return None if digest.hexdigest() == oid else "the object's bytes are not those it is named for"
