"""Every object that a commit needs, read and hashed again. Owns the check; knows nothing of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

from gitckpt.errors import GitckptError
from gitckpt.model.names import Oid
from gitckpt.plumbing.objects import DIRECTORY, GITLINK, hasher
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

_IN_MEMORY = 32 * 1024 * 1024


def faults(repository: Repository, reader: Reader, commit: Oid, seen: set[Oid]) -> Iterator[tuple[Oid, str]]:
    """What is wrong with a commit and with all objects that its tree needs, as `(object, why)`.

    Objects in `seen` are passed by; those looked at are put into it, so that a history costs what it holds.
    """
    todo = [commit]
    folders: set[Oid] = set()
    while todo:
        oid = todo.pop()
        if oid in seen:
            continue
        seen.add(oid)
        problem = problem_of(repository, reader, oid)
        if problem:
            yield oid, problem
        elif oid == commit:
            found = reader.commit(oid)
            top = {Oid(found.tree.hex())} if found else set()
            todo += top
            folders |= top
        elif oid in folders:
            entries = [entry for entry in reader.tree(bytes.fromhex(oid)).values() if entry.mode != GITLINK]
            todo += [Oid(entry.oid.hex()) for entry in entries]
            folders |= {Oid(entry.oid.hex()) for entry in entries if entry.mode == DIRECTORY}


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
