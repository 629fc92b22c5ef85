"""What can go wrong, as facts with data: each error says what failed, on which object, and the one next step.

Owns those that several modules raise; the others are where they are raised. Knows nothing of terminals; one boundary
in `cli` turns an error into text and an exit code.
"""

from __future__ import annotations

import errno
import os
import shlex
from dataclasses import dataclass

from gitckpt.exits import ExitCode as ExitCode
from gitckpt.exits import GitckptError as GitckptError

# --- git ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class GitFailed(GitckptError):
    """A git call ended with an exit code we did not expect."""

    command: tuple[str, ...]
    code: int
    stderr: str

    untouched = "nothing was recorded"

    @property
    def message(self) -> str:
        said = self.stderr.strip() or "it said nothing"
        return f"git {' '.join(self.command)} ended with {self.code}: {said}"

    @property
    def hint(self) -> str:
        return "fix what git names and run the command again"


@dataclass(eq=False)
class GitTimedOut(GitckptError):
    """A git call was ended because it took longer than its limit, `seconds`."""

    exit_code = ExitCode.FAILED
    command: tuple[str, ...]
    seconds: float

    @property
    def message(self) -> str:
        return f"git {' '.join(self.command)} had not ended after {self.seconds:g} s and was stopped"

    @property
    def hint(self) -> str:
        return "look for a slow or full disk, then run the command again"


@dataclass(eq=False)
class GitMissing(GitckptError):
    """There is no `git` program on the PATH."""

    @property
    def message(self) -> str:
        return "git was not found on the PATH"

    @property
    def hint(self) -> str:
        return "install git 2.39 or newer"


@dataclass(eq=False)
class GitTooOld(GitckptError):
    """The `git` on the PATH is older than the oldest one that gitckpt is tested with."""

    found: str
    floor: str

    @property
    def message(self) -> str:
        return f"git is {self.found}, gitckpt needs {self.floor} or newer"

    @property
    def hint(self) -> str:
        return f"install git {self.floor} or newer"


@dataclass(eq=False)
class NotARepository(GitckptError):
    """No folder from `path` upwards is the work tree of a git repository."""

    path: str

    @property
    def message(self) -> str:
        return f"{self.path} is not in the work tree of a git repository"

    @property
    def hint(self) -> str:
        return "`git init` there makes one; where there is no workflow file either, `gitckpt init` makes both"


@dataclass(eq=False)
class BareRepository(NotARepository):
    """The repository at `path` has no work tree, so there is no workspace to checkpoint."""

    @property
    def message(self) -> str:
        return f"the git repository at {self.path} is bare: it has no work tree"

    @property
    def hint(self) -> str:
        return "clone it, or `git worktree add FOLDER`, and work there"


@dataclass(eq=False)
class ForeignOwner(NotARepository):
    """The repository at `path` belongs to another user and git refuses to read its configuration."""

    @property
    def message(self) -> str:
        return f"the git repository at {self.path} belongs to another user"

    @property
    def hint(self) -> str:
        return f"if you trust it: git config --global --add safe.directory {shlex.quote(self.path)}"


@dataclass(eq=False)
class RepositoryNotWritable(GitckptError):
    """The system refused a change below the repository: `path`, and `why` in the system's words."""

    exit_code = ExitCode.FAILED
    untouched = "nothing was recorded"
    path: str
    why: str

    @property
    def message(self) -> str:
        return f"cannot write {self.path}: {self.why}"

    @property
    def hint(self) -> str:
        return "make the folder writable and run the command again"


@dataclass(eq=False)
class MachineRefused(GitckptError):
    """A disk that is full or failing, rights that are missing, a limit that is reached; `path` may be empty."""

    path: str
    why: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"cannot go on{f' at {self.path}' if self.path else ''}: {self.why}"

    @property
    def hint(self) -> str:
        return "fix that (make room, give the rights), then run the command again; what was recorded is safe"


_REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,  # no more processes
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
    }
)


LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What a reader of files may not take for an answer: a limit of the process says nothing of what is there."""


def refusal(error: OSError) -> MachineRefused | None:
    """What the machine refuses is a fact for the user; None for any other, which is a bug."""
    if error.errno not in _REFUSALS:
        return None
    # The name of what is open already is a number.
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    path = os.fsencode(names[0]).decode("utf-8", "backslashreplace") if names else ""
    return MachineRefused(path, error.strerror or str(error))


@dataclass(eq=False)
class PackFailed(RepositoryNotWritable):
    """A pack could not be written or made durable. A failed fsync is never tried again on the same file."""

    @property
    def hint(self) -> str:
        return "free space or mend the disk, then run the command again"


@dataclass(eq=False)
class ChangedWhileRead(GitckptError):
    """A file gave `actual` bytes where another size was promised; the pack is as it was before."""

    exit_code = ExitCode.FAILED
    actual: int

    @property
    def message(self) -> str:
        return f"a file changed while it was read: it gave {self.actual} bytes"


@dataclass(eq=False)
class ObjectUnreadable(GitckptError):
    """The repository lacks the object `oid`, or holds it damaged, or as something else than was asked for."""

    exit_code = ExitCode.CONFLICT
    oid: str
    why: str

    @property
    def message(self) -> str:
        return f"object {self.oid} cannot be read: {self.why}"

    @property
    def hint(self) -> str:
        return (
            "store anew what your files still hold of it, and see what else can be done: gitckpt doctor --repair\n"
            "`gitckpt verify` names the newest checkpoint that is whole"
        )


@dataclass(eq=False)
class RefMoved(GitckptError):
    """Another writer changed the ref `name`; None stands for "does not exist". Nothing was changed."""

    exit_code = ExitCode.BUSY
    name: str
    expected: str | None
    actual: str | None

    @property
    def message(self) -> str:
        return f"{self.name} is at {self.actual or 'nothing'}, not at {self.expected or 'nothing'} as expected"

    @property
    def hint(self) -> str:
        return "another command moved it meanwhile; run yours again"


@dataclass(eq=False)
class RefBlocked(GitckptError):
    """The ref `name` cannot exist beside `blocker`: one is a folder of the other. Nothing was changed."""

    exit_code = ExitCode.CONFLICT
    name: str
    blocker: str

    @property
    def message(self) -> str:
        return f"{self.blocker} is in the way of {self.name}"

    @property
    def hint(self) -> str:
        short = self.blocker.removeprefix("refs/heads/")
        return f"rename that branch, for example: git branch -m {shlex.quote(short)} {shlex.quote(short + '-old')}"


@dataclass(eq=False)
class RefLocked(GitckptError):
    """Another git process holds `lock`, or one that died left it. Nothing was changed."""

    exit_code = ExitCode.BUSY
    name: str
    lock: str

    @property
    def message(self) -> str:
        return f"{self.name} is locked by {self.lock}"

    @property
    def hint(self) -> str:
        return "wait for the other git process; if none runs, remove that file"


# --- workspace ----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Unreadable(GitckptError):
    """A path that must be captured cannot be read; nothing was recorded."""

    path: bytes
    why: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"cannot read {self.path.decode('utf-8', 'backslashreplace') or '.'}: {self.why}"

    @property
    def hint(self) -> str:
        return "make it readable, or leave it out with `workspace: {exclude: [...]}`"


@dataclass(eq=False)
class CannotRestore(GitckptError):
    """A path could not be made what the checkpoint says; the journal stays, so the next command goes on."""

    path: bytes
    why: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"cannot restore {self.path.decode('utf-8', 'backslashreplace') or '.'}: {self.why}"

    @property
    def hint(self) -> str:
        return "mend what stands in the way and run the command again: it goes on where it stopped"


# --- processes and locks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as the lock file says: `pid` 0 and empty texts where it does not say."""

    pid: int
    host: str
    since: str
    command: str


@dataclass(eq=False)
class Busy(GitckptError):
    """Another process holds a lock that this command needs."""

    lock: str
    holder: Holder | None

    exit_code = ExitCode.BUSY

    @property
    def message(self) -> str:
        who = self.holder
        if who is None or not who.pid:
            return f"another gitckpt process holds {self.lock}"
        return f"busy: process {who.pid} on {who.host} has held this since {who.since} ({who.command})"

    @property
    def hint(self) -> str:
        return "wait for it (gitckpt wait), or stop that process and run the command again"


@dataclass(eq=False)
class LeftoversRemain(GitckptError):
    """Processes of a dead run would not end."""

    pids: tuple[int, ...]

    exit_code = ExitCode.BUSY

    @property
    def message(self) -> str:
        return f"a dead run left processes that do not end: {', '.join(map(str, self.pids))}"

    @property
    def hint(self) -> str:
        return f"look at them (ps -fp {','.join(map(str, self.pids))}), end them, and run the command again"


@dataclass(eq=False)
class RunEnded(GitckptError):
    """The active run ended, or did not answer in time; what was asked of it was taken back."""

    waited_s: float | None

    exit_code = ExitCode.BUSY

    @property
    def message(self) -> str:
        if self.waited_s is None:
            return "the run ended before it did this"
        return f"the run did not answer within {self.waited_s:g} s"

    @property
    def hint(self) -> str:
        return "see where it stands (gitckpt status), then give the command again"
