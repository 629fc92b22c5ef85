"""Any sequence of what a user and a phase can do, captured or not: `undo` gives back every file, and nothing is lost.

Through the command line, over real git. What is true of each command is told by the files on the disk before and after
it, never by what gitckpt says of them; which files are captured, by plain git.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.test_undo import Entries, entries
from tests.ready import gitckpt
from tests.repo import Repo

SECRET = "a-declared-secret"
NAMES = ["a", "b", "d", "d/x", "d/e", "d/e/z"]
PATTERNS = ["a", "b", "d/", "d/x", "*", "/d/e/"]
MODES = [0o644, 0o755, 0o600]
FILE = """\
version: 1
workflow: w
secrets: [TOKEN]
workspace: {{exclude: [{exclude}]}}
attempts: {{keep_up_to: 64B}}
phases:
  work: {{run: 'sh "$WORLD/work"'}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Something comes to a path, whatever stood there or above it; or goes."""

    path: str
    sort: str
    data: bytes = b""
    mode: int = 0o644

    def make(self, root: Path) -> None:
        path = root / self.path
        for above in reversed(path.relative_to(root).parents[:-1]):
            if not (root / above).is_dir() or (root / above).is_symlink():
                (root / above).unlink(missing_ok=True)
                (root / above).mkdir()
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if self.sort == "file":
            path.write_bytes(self.data)
            path.chmod(self.mode)
        elif self.sort == "link":
            path.symlink_to(self.target)
        elif self.sort == "folder":
            path.mkdir()
            path.chmod(0o700 | self.mode)

    @property
    def target(self) -> str:
        """Where a link leads; a secret is looked for in files."""
        return f"nowhere-{len(self.data)}"

    def line(self) -> str:
        """The same as a line of a phase's script."""
        path, above = self.path, self.path.rpartition("/")[0]
        way = "".join(f"[ -d {one} ] || rm -f {one}; " for one in (above.split("/")[0], above) if one)
        way += f"mkdir -p {above}; " if above else ""
        data = self.data.decode().replace("\n", "\\n")
        made = {
            "file": f"printf '{data}' > {path}; chmod {self.mode:o} {path}",
            "link": f"ln -s '{self.target}' {path}",
            "folder": f"mkdir {path}; chmod {0o700 | self.mode:o} {path}",
            "nothing": ":",
        }
        return f"{way}rm -rf {path}; {made[self.sort]}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that happens. `which` picks a checkpoint; `then_undo`: at once."""

    verb: str
    puts: Sequence[Put] = ()
    rules: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    which: int = 0
    then_undo: bool = True


DATA = st.sampled_from([b"", b"one\n", b"two\n", b"three " * 30, SECRET.encode()])
PUTS = st.builds(
    Put,
    path=st.sampled_from(NAMES),
    sort=st.sampled_from(["file", "file", "file", "link", "folder", "nothing"]),
    data=DATA,
    mode=st.sampled_from(MODES),
)
SOME = st.lists(PUTS, min_size=1, max_size=3)
RULES = st.tuples(
    st.lists(st.sampled_from(PATTERNS[:4]), max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from(PATTERNS), max_size=2, unique=True).map(tuple),
)
ACTS = st.one_of(
    st.builds(Act, verb=st.just("edit"), puts=SOME),
    st.builds(Act, verb=st.just("rules"), rules=RULES, puts=st.lists(PUTS, max_size=2)),
    st.builds(Act, verb=st.sampled_from(["run", "run", "fail", "kill"]), puts=SOME),
    st.builds(
        Act,
        verb=st.sampled_from(["rollback", "rollback", "restore", "attempt", "undo"]),
        which=st.integers(0, 30),
        then_undo=st.booleans(),
    ),
    st.builds(Act, verb=st.just("later undo")),
)


@dataclass(slots=True)
class Undoable:
    """The user's newest command, and the files before and after it."""

    number: int
    before: Entries
    after: Entries


@dataclass(slots=True)
class World:
    """The repository, and what is to be remembered of it."""

    repo: Repo
    newest: Undoable | None = None
    ran: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.repo.path

    def call(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """A command, after which every file that was there before it is somewhere."""
        before = entries(self.root)
        environment = os.environ | {"WORLD": str(self.root.parent), "TOKEN": SECRET}
        done = gitckpt(*arguments, cwd=self.root, env=environment)
        self.ran.append(" ".join(arguments))
        assert done.returncode in ok, (self.ran, done.stdout, done.stderr)
        if arguments[0] != "run":  # a phase may do away with what it wants
            self.require_kept(before)
        return done

    def require_kept(self, before: Entries) -> None:
        now = {data for mode, data in entries(self.root).values() if stat.S_ISREG(mode)}
        gone = {data for mode, data in before.values() if stat.S_ISREG(mode)} - now
        gone -= {path.read_bytes() for path in kept_files(self.root)}
        names = {hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest(): data for data in gone}
        asked = "".join(f"{name}\n" for name in names)
        said = git(self.root, "cat-file", "--batch-check", stdin=asked)
        lost = [names[line.split()[0]] for line in said.splitlines() if line.endswith("missing")]
        assert not lost, (self.ran, lost)

    def number(self) -> int:
        return int(git(self.root, "rev-list", "--count", "--first-parent", "gitckpt/w"))

    def captured(self, *commits: str) -> set[str]:
        """What is in these trees, folders too, and all above and below it counts as the same place."""
        return {
            name for commit in commits for name in git(self.root, "ls-tree", "-rt", "--name-only", commit).splitlines()
        }


def git(root: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(["git", *arguments], cwd=root, input=stdin.encode(), capture_output=True, check=True)
    return os.fsdecode(done.stdout)


def kept_files(root: Path) -> list[Path]:
    found = (root / ".git/gitckpt").glob("workspaces/*/replaced/*/*")
    return [path for path in found if path.name != "record" and path.is_file() and not path.is_symlink()]


def differing(one: Entries, other: Entries) -> set[str]:
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def related(path: str, others: set[str]) -> bool:
    """Whether the path is one of the others, or above or below one."""
    return any(path == each or path.startswith(f"{each}/") or each.startswith(f"{path}/") for each in others)


def play(world: World, act: Act) -> None:
    """Do it, and look."""
    match act.verb:
        case "edit":
            for put in act.puts:
                put.make(world.root)
        case "rules":
            exclude, ignore = act.rules
            world.repo.write("gitckpt.yaml", FILE.format(exclude=", ".join(f'"{each}"' for each in exclude)))
            world.repo.write(".gitignore", "".join(f"{each}\n" for each in (*ignore, "!.gitignore", "!gitckpt.yaml")))
            for put in act.puts:
                put.make(world.root)
        case "run" | "fail":
            lines = "".join(put.line() for put in act.puts) + ("exit 3\n" if act.verb == "fail" else "")
            (world.root.parent / "work").write_text(lines)
            world.call("run", "--again", ok=(0, 1))
        case "kill":
            killed(world, act)
        case "later undo":
            undo_later(world)
        case _:
            command(world, act)


def killed(world: World, act: Act) -> None:
    """A run dies after its phase has done its work, and the next one comes to an end."""
    above = world.root.parent
    (above / "began").unlink(missing_ok=True)
    (above / "work").write_text("".join(put.line() for put in act.puts) + 'touch "$WORLD/began"; sleep 60\n')
    environment = os.environ | {"WORLD": str(above), "TOKEN": SECRET}
    command = [sys.executable, "-m", "gitckpt", "run", "--again"]
    with subprocess.Popen(command, cwd=world.root, env=environment, stderr=subprocess.DEVNULL) as run:
        until = time.monotonic() + 60
        while not (above / "began").exists() and run.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        run.kill()
    (above / "work").write_text(":\n")
    world.ran.append("run (killed)")
    world.call("run", ok=(0, 1))


def command(world: World, act: Act) -> None:
    """A command of the user's; with an undo at once, every file is as it was, and the undo is undone alike."""
    if not git(world.root, "for-each-ref", "refs/heads/gitckpt"):
        return
    wanted = str(act.which % world.number() + 1)
    attempts = git(world.root, "for-each-ref", "--format=%(refname:lstrip=5)", "refs/gitckpt/w/attempts").split()
    arguments = {
        "undo": ["undo"],
        "attempt": ["restore", f"work@{attempts[act.which % len(attempts)]}" if attempts else wanted],
    }.get(act.verb, [act.verb, wanted])
    before, tip = entries(world.root), world.number()
    if arguments == ["undo"] and world.newest is None:
        return
    world.call(*arguments)
    after = entries(world.root)
    if world.number() == tip or ("undo" not in arguments and after == before and is_edit_only(world)):
        return
    world.newest = Undoable(world.number(), before, after)
    if act.then_undo:
        world.call("undo")
        now = entries(world.root)
        assert now == before, (world.ran, differing(now, before))
        world.call("undo")
        assert entries(world.root) == after, (world.ran, differing(entries(world.root), after))
        world.newest = Undoable(world.number(), before, after)


def is_edit_only(world: World) -> bool:
    """Whether the newest checkpoint is of edits: there was nothing to restore."""
    return "restored from" not in git(world.root, "log", "-1", "--format=%s", "gitckpt/w") and "rolled back" not in git(
        world.root, "log", "-1", "--format=%s", "gitckpt/w"
    )


def undo_later(world: World) -> None:
    """What the newest command touched comes back; what is not captured and it did not touch stays."""
    newest = world.newest
    if newest is None:
        return
    here = entries(world.root)
    world.call("undo")
    now = entries(world.root)
    touched = differing(newest.before, newest.after)
    wrong = {path for path in touched if now.get(path) != newest.before.get(path)}
    assert not wrong, ("not back", world.ran, [(one, newest.before.get(one), now.get(one)) for one in wrong])
    places = touched | world.captured("gitckpt/w", "gitckpt/w~1", f"gitckpt/w~{world.number() - newest.number}")
    changed = {path for path in differing(here, now) if not related(path, places)}
    assert not changed, ("not left alone", world.ran, [(one, here.get(one), now.get(one)) for one in changed])
    world.newest = Undoable(world.number(), here, now)


def run_all(acts: Sequence[Act]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(os.path.realpath(folder)) / "repo"
        path.mkdir()
        world = World(Repo(path))
        world.repo.write("gitckpt.yaml", FILE.format(exclude=""))
        (path.parent / "work").write_text("printf 'one\\n' > a; mkdir -p d; printf 'one\\n' > d/x\n")
        world.call("run")
        for act in acts:
            play(world, act)
        world.repo.untouched()
        world.repo.sound()
        assert SECRET not in git(path, "cat-file", "--batch-all-objects", "--batch", "--unordered"), world.ran


@settings(max_examples=3, deadline=None)
@given(st.lists(ACTS, min_size=4, max_size=7))
def test_undo_gives_back_every_file_captured_or_not(acts: list[Act]) -> None:
    run_all(acts)


@pytest.mark.sweep
@settings(max_examples=10, deadline=None)
@given(st.lists(ACTS, min_size=6, max_size=10))
def test_undo_gives_back_every_file_after_many_sequences(acts: list[Act]) -> None:
    run_all(acts)


SOMETHING_IN_THE_PLACE = [
    Act(
        verb="edit",
        puts=[Put(path="a", sort="file", data=b"", mode=420)],
    ),
    Act(verb="edit", puts=[Put(path="a", sort="file", data=b"", mode=420)]),
    Act(
        verb="edit",
        puts=[
            Put(path="a", sort="file", data=b"", mode=420),
            Put(path="d/e", sort="file", data=b"three " * 30, mode=420),
        ],
    ),
    Act(verb="edit", puts=[Put(path="a", sort="file", data=b"", mode=420)]),
    Act(
        verb="edit",
        puts=[
            Put(path="a", sort="file", data=b"", mode=420),
            Put(path="d/e", sort="file", data=b"three " * 30, mode=384),
            Put(path="b", sort="folder", data=b"three " * 30, mode=384),
        ],
    ),
    Act(
        verb="run",
        puts=[
            Put(path="d/e", sort="file", data=b"three " * 30, mode=384),
            Put(path="d/e/z", sort="nothing", data=b"two\n", mode=420),
        ],
    ),
    Act(verb="rollback", which=29, then_undo=True),
    Act(
        verb="rules",
        rules=(("d/x",), ("*", "d/x")),
        puts=[Put(path="d/e", sort="file", data=b"", mode=384)],
    ),
    Act(verb="undo", which=11, then_undo=True),
    Act(
        verb="rules",
        rules=((), ("/d/e/",)),
        puts=[
            Put(path="b", sort="link", data=b"a-declared-secret", mode=384),
            Put(path="b", sort="folder", data=b"two\n", mode=420),
        ],
    ),
    Act(verb="rules", rules=(("d/",), ("a", "d/x")), puts=[]),
    Act(
        verb="rules",
        puts=[Put(path="d/e/z", sort="nothing", data=b"a-declared-secret", mode=493)],
        rules=((), ("d/x",)),
        which=0,
        then_undo=True,
    ),
    Act(verb="rollback", which=13, then_undo=False),
    Act(
        verb="rules",
        rules=(("a",), ("b", "/d/e/")),
        puts=[
            Put(path="a", sort="file", data=b"one\n", mode=493),
            Put(path="a", sort="link", data=b"two\n", mode=493),
        ],
    ),
]
"""A folder that the rules of then leave out stands where `undo` has to give a file back."""


@pytest.mark.sweep
def test_what_comes_back_gets_the_place_that_something_left_out_has() -> None:
    run_all(SOMETHING_IN_THE_PLACE)


@pytest.mark.full
@pytest.mark.timeout(7200)
@settings(max_examples=600, deadline=None, derandomize=False, print_blob=True)
@given(st.lists(ACTS, min_size=6, max_size=16))
def test_undo_gives_back_every_file_for_long(acts: list[Act]) -> None:
    run_all(acts)
