"""Refs: read them, and move many at once or none. Owns the one transaction of the program, its durability and
the reasons why one is refused; knows nothing of what a ref stands for.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitckpt.errors import (
    GitckptError,
    GitFailed,
    RefBlocked,
    RefLocked,
    RefMoved,
    RepositoryNotWritable,
)
from gitckpt.model.names import Oid
from gitckpt.plumbing import launch
from gitckpt.plumbing.durable import sync_folder
from gitckpt.plumbing.process import environment_for, git
from gitckpt.plumbing.repository import Repository

_FORMAT = "--format=%(objectname) %(refname)"
# What git says when it fails; compiled only then.
_REFUSED = (
    r"'(/[^'\n]*)': "
    "(Permission denied|Read-only file system|No space left on device|Disk quota exceeded|Input/output error)"
)
_IN_COMMIT = r"(?m)^fatal: commit:"
_ORPHAN_S = 0.5
_PACKED_S = 2.0
_UNWRITTEN = r"(?:couldn't|unable to) (?:write|close|append to) '?(/[^'\n]*)"


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref of a transaction, by its full name. `new` None deletes it; `old` is where it must be now.

    With `old` None the ref must not exist; a deletion with `old` None takes the ref wherever it is.
    """

    name: str
    new: Oid | None
    old: Oid | None


def transact(repository: Repository, updates: Sequence[RefUpdate], reason: str) -> None:
    """Make all updates or none, durably; `reason` goes into the reflogs.

    Raises RefMoved (an old value does not hold), RefBlocked (a branch lies where a folder must, or the
    reverse), RefLocked, RepositoryNotWritable, GitFailed; nothing was changed then. A kill -9 between git's
    renames can leave some refs moved: each is old or new, never damaged.
    """
    if not updates:
        return
    environment = environment_for(repository)
    # Git needs a name for the reflog; without one it asks the system for the user's, which may have none.
    environment.update(GIT_COMMITTER_NAME="gitckpt", GIT_COMMITTER_EMAIL="gitckpt@localhost")
    arguments = ("update-ref", "--no-deref", "-m", " ".join(reason.split()) or "gitckpt", "--stdin", "-z")
    stdin = b"".join([b"start\0", *map(_command, updates), b"prepare\0", b"commit\0"])
    ended = launch.run(*arguments, environment=environment, folder=str(repository.top), stdin=stdin)
    if ended.interrupted and not _landed(repository, updates):
        # The terminal's Ctrl-C ended git before it began; its handler took the locks away.
        ended = launch.run(*arguments, environment=environment, folder=str(repository.top), stdin=stdin)
    if ended.code and not (ended.interrupted and _landed(repository, updates)):
        raise _reason(repository, updates, GitFailed(arguments, ended.code, os.fsdecode(ended.stderr)))
    _sync(repository, updates)
    _unlock_deleted(repository, updates)


def _unlock_deleted(repository: Repository, updates: Sequence[RefUpdate]) -> None:
    """Git is content when it could not remove its lock on a ref that it deleted, which would block the next of that
    name. Where we cannot either, `doctor --repair` can."""
    try:
        remove_own_locks(repository, *(update.name for update in updates if update.new is None))
    except RepositoryNotWritable:
        return


def _command(update: RefUpdate) -> bytes:
    name = os.fsencode(update.name)
    new = (update.new or "").encode("ascii")
    old = (update.old or "").encode("ascii")
    if update.new is None:
        return b"delete %b\0%b\0" % (name, old)
    if update.old is None:
        return b"create %b\0%b\0" % (name, new)
    return b"update %b\0%b\0%b\0" % (name, new, old)


def _landed(repository: Repository, updates: Sequence[RefUpdate]) -> bool:
    return all(resolve(repository, update.name) == update.new for update in updates)


def _reason(repository: Repository, updates: Sequence[RefUpdate], failed: GitFailed) -> GitckptError:
    """Why the transaction was refused, found by looking, because git's words change between versions."""
    if re.search(_IN_COMMIT, failed.stderr):
        # It held every lock and had checked every old value: those that moved it moved itself, then the disk failed.
        return _unwritable(repository, updates, failed.stderr) or failed
    there: dict[str, Oid] = {}
    for root in sorted({"/".join(update.name.split("/")[:3]) for update in updates}):
        there.update(list_refs(repository, root))
    for update in updates:
        blocker = _blocker(update, there)
        if blocker:
            return RefBlocked(update.name, blocker)
    for update in updates:
        lock = _loose(repository, update.name) + ".lock"
        # On a failing disk git leaves locks of its own; one that was there before it names as the reason.
        if os.path.lexists(lock) and os.strerror(errno.EEXIST) in failed.stderr:
            return RefLocked(update.name, lock)
    for update in updates:
        actual = there.get(update.name)
        if actual != update.old and not (update.new is None and update.old is None):
            return RefMoved(update.name, update.old, actual)
    return _unwritable(repository, updates, failed.stderr) or failed


def _unwritable(repository: Repository, updates: Sequence[RefUpdate], said: str) -> RepositoryNotWritable | None:
    refused = re.search(_REFUSED, said)
    if refused:
        return RepositoryNotWritable(refused[1], refused[2])
    unwritten = re.search(_UNWRITTEN, said)
    if unwritten:
        full = not os.statvfs(repository.common_dir).f_bavail
        return RepositoryNotWritable(unwritten[1], os.strerror(errno.ENOSPC) if full else "git could not write it")
    # Of a folder that it cannot make, git does not say why.
    for update in updates:
        folder = os.path.dirname(_loose(repository, update.name))
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            return RepositoryNotWritable(folder, os.strerror(errno.EROFS if read_only else errno.EACCES))
    return None


def _blocker(update: RefUpdate, there: Iterable[str]) -> str | None:
    if update.new is None:
        return None
    below = update.name + "/"
    return next((name for name in there if name.startswith(below) or update.name.startswith(name + "/")), None)


def _sync(repository: Repository, updates: Sequence[RefUpdate]) -> None:
    """Make the renames durable: git syncs the files it writes, but never a folder. A deletion that a power cut takes
    back is as one that a kill has prevented.
    """
    for folder in {os.path.dirname(_loose(repository, update.name)) for update in updates if update.new is not None}:
        try:
            sync_folder(folder)
        except OSError as error:
            raise RepositoryNotWritable(folder, error.strerror or str(error)) from None


def _loose(repository: Repository, name: str) -> str:
    if not name.startswith("refs/") or ".." in name:
        raise ValueError(f"{name!r} is not a full ref name")
    return os.path.join(repository.common_dir, name)


def remove_own_lock(repository: Repository, ref: str) -> None:
    """Remove `<ref>.lock`, which a killed writer left. Only for refs of ours, only while holding the run's
    lock.
    """
    try:
        os.unlink(_loose(repository, ref) + ".lock")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RepositoryNotWritable(_loose(repository, ref) + ".lock", error.strerror or str(error)) from None


def remove_own_locks(repository: Repository, *prefixes: str) -> None:
    """Remove every `<ref>.lock` of `prefixes`: full names, or folders of refs, which end with a slash.

    After an unclean end only, for refs of ours, while holding the run's lock. A git that the dead writer started may
    still be at work: it gets half a second, many times what a transaction takes, to end by itself.
    """
    until = time.monotonic() + _ORPHAN_S
    while locks := locked_refs(repository, *prefixes):
        if time.monotonic() >= until:
            for name in locks:
                remove_own_lock(repository, name)
            return
        time.sleep(_ORPHAN_S / 10)


def remove_packed_lock(repository: Repository, since_ns: int) -> None:
    """Remove the `packed-refs.lock` that a killed deletion of ours left: it would block the user's git as well as ours.

    After an unclean end only. A lock from before `since_ns`, when the deletion began, is somebody else's. A newer one
    may be the work of a living git: it stays until it is two seconds old, and for good if others follow.
    """
    lock = os.path.join(repository.common_dir, "packed-refs.lock")
    until = time.monotonic() + 2 * _PACKED_S
    while time.monotonic() < until:
        try:
            made_ns = os.lstat(lock).st_mtime_ns
            if made_ns < since_ns:
                return
            if time.time_ns() - made_ns >= _PACKED_S * 1e9:
                os.unlink(lock)
                return
        except FileNotFoundError:
            return
        except OSError as error:
            raise RepositoryNotWritable(lock, error.strerror or str(error)) from None
        time.sleep(_PACKED_S / 20)


def locked_refs(repository: Repository, *prefixes: str) -> list[str]:
    """The refs of `prefixes` (as `remove_own_locks` takes them) that have a lock, whoever holds it."""
    return [name for prefix in prefixes for name in _locked(repository, prefix)]


def _locked(repository: Repository, prefix: str) -> list[str]:
    """The refs of a prefix that have a lock."""
    place = _loose(repository, prefix)
    if not prefix.endswith("/"):
        return [prefix] if os.path.lexists(place + ".lock") else []
    found = [os.path.join(at, name) for at, _, names in os.walk(place) for name in names if name.endswith(".lock")]
    return [os.path.relpath(path, repository.common_dir).removesuffix(".lock") for path in found]


def names_of_refs(repository: Repository, folder: str) -> list[str]:
    """The full names of the refs below `folder`, which ends with a slash, without asking git where files tell it: a
    look costs 0.1 ms instead of 2."""
    if (repository.common_dir / "reftable").exists():
        return list(list_refs(repository, folder))
    found = {
        os.path.relpath(os.path.join(at, name), repository.common_dir)
        for at, _, names in os.walk(_loose(repository, folder))
        for name in names
        if not name.endswith(".lock")
    }
    try:
        with open(os.path.join(repository.common_dir, "packed-refs"), "rb") as file:
            data = file.read()
    except OSError:
        data = b""
    found.update(os.fsdecode(name) for name in re.findall(rb" (%s[^\n]*)" % re.escape(os.fsencode(folder)), data))
    return sorted(found)


def list_refs(repository: Repository, prefix: str) -> dict[str, Oid]:
    """The refs at `prefix` (a full name, or the start of one up to a slash) by their full names."""
    said = git(repository, "for-each-ref", _FORMAT, "--", prefix)
    found = {}
    for line in said.splitlines():
        oid, _, name = line.partition(b" ")
        found[os.fsdecode(name)] = Oid(oid.decode("ascii"))
    return found


def resolve(repository: Repository, ref: str) -> Oid | None:
    """Where the full ref name `ref` points, exactly that ref; None when it does not exist.

    `rev-parse` would go on to try `refs/tags/refs/...` and the like. A loose ref is read as the file it is
    (0.02 ms instead of 2); git answers for all others. The object need not exist.
    """
    try:
        with open(_loose(repository, ref), "rb") as file:
            text = file.read(256).strip()
    except OSError:
        text = b""
    if re.fullmatch(rb"[0-9a-f]{%d}" % (2 * len(repository.null)), text):
        return Oid(text.decode("ascii"))
    return list_refs(repository, ref).get(ref)


def rev_list(repository: Repository, tip: Oid, *flags: str) -> list[Oid]:
    """The commits from `tip` along first parents, newest first; `flags` are options of `git rev-list`."""
    said = git(repository, "rev-list", "--first-parent", *flags, "--end-of-options", tip, "--")
    return [Oid(line) for line in said.decode("ascii").split()]
