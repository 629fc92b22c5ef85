"""The mount namespace of one attempt: an overlay of the workspace at the workspace's own path.

Owns the system calls, their order, and the trial whether they work here (`probe`). It must not know attempts, layers
or git. The watchdog, a program of its own, imports it, so it imports only what starts fast.

Every directory is opened first and named to the kernel by the number of its descriptor, relative to `/proc/self/fd`:
so a path may hold any byte, 500 layers (the kernel's own limit) fit the one page that the options may take, and the
plain `mount` call does, which every kernel with unprivileged overlays (5.11) has.

Where a layer lies inside the workspace (under its `.git`), the kernel refuses the two as "overlapping" layers of one
overlay (ELOOP). Then the workspace is wrapped in a read-only overlay of its own, whose root is another inode. Two
overlays on each other are the most that the kernel stacks.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

TYPE_CHECKING = False  # `typing` takes milliseconds to import, and the watchdog starts for each attempt
if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

SUPPORTED = sys.platform == "linux"

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_RDONLY, _BIND, _REC, _PRIVATE = 1, 1 << 12, 1 << 14, 1 << 18
_O_PATH = getattr(os, "O_PATH", 0)
_FDS = "/proc/self/fd"
_ESCAPED = ((rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\043", b"#"), (rb"\134", b"\\"))
_ANSWER = 4096


class View:
    """What to mount: `lowers` topmost first, the workspace itself last; `binds` are pairs (source, destination)."""

    __slots__ = ("binds", "lowers", "target", "upper", "work")

    def __init__(self, *, target: str, lowers: list[str], upper: str, work: str, binds: list[tuple[str, str]]) -> None:
        self.target = target
        self.lowers = lowers
        self.upper = upper
        self.work = work
        self.binds = binds


class ViewError(Exception):
    """The view cannot be made: `stage` says which part (`overlay`, `bind PATH`, ...), `why` the system's reason."""

    def __init__(self, stage: str, why: str) -> None:
        super().__init__(f"{stage}: {why}")
        self.stage = stage
        self.why = why


def enter() -> bool:
    """Give this process a mount namespace of its own; whether it took a user namespace, too. Raises ViewError.

    Who may mount needs none. Anybody else gets one in which only the own ids exist, under their own numbers: the
    capabilities there end with the next exec, because the user is not 0. The process must have one thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    mapped = bool(libc.unshare(_NEWNS) != 0)
    if mapped:
        if libc.unshare(_NEWNS | _NEWUSER) != 0:
            raise ViewError("no user namespaces", os.strerror(ctypes.get_errno()))
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
        except OSError as problem:
            raise ViewError("no user namespaces", problem.strerror or "") from problem
    # Else what is mounted here would be mounted for the whole machine.
    _mount("no mount namespaces", None, b"/", None, _REC | _PRIVATE, None)
    return mapped


def mount(view: View) -> None:
    """Mount the overlay and its binds, and stay in its root: it cannot be unmounted by the way. Raises ViewError."""
    opened: list[int] = []
    try:
        _refuse_submounts(view)
        _stack(view, opened)
    except OSError as problem:
        os.chdir("/")
        raise ViewError(f"{problem.filename or view.target}", problem.strerror or "") from problem
    except ViewError:
        os.chdir("/")
        raise
    finally:
        for fd in opened:
            os.close(fd)


def stands() -> bool:
    """Whether the directory that this process is in still is what its path leads to."""
    try:
        return os.path.samestat(os.stat("."), os.stat(os.getcwd()))
    except OSError:
        return False


def _stack(view: View, opened: list[int]) -> None:
    # Only now: a descriptor from before `unshare` belongs to the mounts of the old namespace, which cannot be bound.
    layers = [_folder(path, opened) for path in view.lowers]
    upper, work = _folder(view.upper, opened), _folder(view.work, opened)
    sources = [(path, _open_source(source, path, opened)) for source, path in view.binds]
    target = os.fsencode(view.target)
    os.chdir(_FDS)
    if _overlap(view.lowers):
        # An overlay without an upper needs two lowers: the other one is an empty file system.
        _mount("overlay", b"tmpfs", target, b"tmpfs", _RDONLY, b"size=4k")
        pair = f"{_folder(view.target, opened)}:{layers[-1]}"
        _mount("overlay", b"overlay", target, b"overlay", _RDONLY, f"lowerdir={pair},userxattr".encode())
        layers[-1] = _folder(view.target, opened)
    lowers = ":".join(map(str, layers))
    # `userxattr`: else `rm -r` of a directory of the workspace fails with EIO where no privilege is had.
    options = f"lowerdir={lowers},upperdir={upper},workdir={work},userxattr"
    _mount("overlay", b"overlay", target, b"overlay", 0, options.encode())
    for path, source in sources:
        if source is not None:
            place = _open(path, 0, opened)
            _mount(f"bind {path}", b"%d" % source, b"%d" % place, None, _BIND | _REC, None)
    os.chdir(view.target)


def _overlap(lowers: list[str]) -> bool:
    bottom = os.path.join(os.path.realpath(lowers[-1]), "")
    return any(os.path.realpath(layer).startswith(bottom) for layer in lowers[:-1])


def _open_source(source: str, path: str, opened: list[int]) -> int | None:
    """None where neither the source nor its place exists: then there is nothing to bind."""
    try:
        return _open(source, 0, opened)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise
        return None


def _folder(path: str, opened: list[int]) -> int:
    return _open(path, os.O_DIRECTORY, opened)


def _open(path: str, flags: int, opened: list[int]) -> int:
    opened.append(os.open(path, _O_PATH | os.O_CLOEXEC | flags))
    return opened[-1]


def _refuse_submounts(view: View) -> None:
    """What is mounted inside the workspace would be hidden in its overlay: an empty folder where data were."""
    bottom = os.path.join(os.fsencode(os.path.realpath(view.lowers[-1])), b"")
    bound = tuple(os.path.join(os.fsencode(os.path.realpath(place)), b"") for _, place in view.binds)
    with open("/proc/self/mountinfo", "rb") as file:
        mounts = file.read().splitlines()
    for line in mounts:
        path = line.split(b" ")[4]
        for escaped, byte in _ESCAPED:
            path = path.replace(escaped, byte)
        if path.startswith(bottom) and not os.path.join(path, b"").startswith(bound):
            raise ViewError("overlay", f"{os.fsdecode(path)} is a mount point inside the workspace")


def _mount(stage: str, source: bytes | None, place: bytes, kind: bytes | None, flags: int, data: bytes | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, place, kind, ctypes.c_ulong(flags), data) != 0:
        raise ViewError(stage, os.strerror(ctypes.get_errno()))


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


# -- the trial


def probe(folder: Path, workspace: Path) -> str | None:
    """None: an overlay over `workspace` works, with what it writes below `folder`. Else the reason in words.

    It is really mounted, by a child, with a layer that lies in `folder`; a directory is removed and made again in it.
    Nothing is left in `folder`, and nothing in `workspace` changes. A few ms, most of
    them for making and removing seven folders.
    """
    if not SUPPORTED:
        return "overlayfs is Linux only"
    name = f"probe-{os.urandom(8).hex()}"
    place = os.path.join(folder, name)
    try:
        for inner in ("upper", "work", "layer", f"layer/{name}"):
            os.makedirs(os.path.join(place, inner))
        os.close(os.open(os.path.join(place, "layer", name, "file"), os.O_CREAT | os.O_CLOEXEC, 0o600))
        return _ask_child(place, os.path.abspath(workspace))
    except OSError as problem:
        return f"{folder} cannot be written: {problem.strerror}"
    finally:
        if os.path.lexists(place):
            remove(place)


def remove(folder: str) -> None:
    """Remove a directory with all that is in it, also what has no rights, as overlayfs leaves its work directory.

    Raises OSError.
    """
    os.chmod(folder, 0o700)
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                remove(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(folder)


def _ask_child(place: str, workspace: str) -> str | None:
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(tell, place, workspace)
    os.close(tell)
    said = b""
    while more := os.read(hear, _ANSWER):
        said += more
    os.close(hear)
    os.waitpid(child, 0)
    if said == b"works":
        return None
    return said.decode("utf-8", "surrogateescape") or "the trial mount ended without an answer"


def _answer(tell: int, place: str, workspace: str) -> NoReturn:
    """The child's side: never returns."""
    try:
        os.write(tell, _trial(place, workspace).encode("utf-8", "surrogateescape")[:_ANSWER])
    finally:
        os._exit(0)


def _trial(place: str, workspace: str) -> str:
    folder = os.path.dirname(place)
    try:
        stranger = _not_ours(workspace, folder)  # before `enter`: there all that is another's looks like nobody's
        if enter() and stranger:
            return stranger
        upper, work, layer = (os.path.join(place, name) for name in ("upper", "work", "layer"))
        mount(View(target=workspace, lowers=[layer, workspace], upper=upper, work=work, binds=[]))
        # A removed file is a device, a folder made anew carries an attribute: not every file system holds both.
        tried = os.path.basename(place)
        os.unlink(os.path.join(tried, "file"))
        os.rmdir(tried)
        os.mkdir(tried)
    except ViewError as problem:
        if problem.stage == "overlay" and problem.why == os.strerror(errno.EINVAL):
            return f"the file system of {folder} cannot hold an upper directory: {problem.why}"
        return str(problem)
    except OSError as problem:
        return f"the file system of {folder} cannot hold an upper directory: {problem.strerror}"
    return "works"


def _not_ours(*folders: str) -> str:
    """In a user namespace only the own ids exist: what is another's cannot be copied up."""
    for folder in folders:
        found = os.stat(folder)
        if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
            why = os.strerror(errno.EOVERFLOW)
            return f"{folder} belongs to user {found.st_uid} and group {found.st_gid}, not to the one who runs: {why}"
    return ""
