"""A copy of the workspace for one attempt: exact, in git's eyes the same, and read back exactly."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gitckpt.plumbing.content import Content, Item, list_content
from gitckpt.plumbing.gitfile import WorkTreeElsewhere
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.repository import discover
from gitckpt.workspace.capture import Capture, Captured
from gitckpt.workspace.filling import ReplicaTooBig
from gitckpt.workspace.replica import Replica, changed_beside, load_replica, make_replica, read_replica
from gitckpt.workspace.replica_scan import captured_items
from gitckpt.workspace.scan import ViewScan
from gitckpt.workspace.times import ctime_now, wait_past
from tests.workspace.desk import Desk
from tests.workspace.test_torture import EVERYTHING, differences, scanned

WHO = ("-c", "user.name=n", "-c", "user.email=n@x")


def replicate(desk: Desk, content: Content, name: str = "v") -> Replica:
    folder = desk.repository.common_dir / "gitckpt" / "workspaces" / "w" / "views" / name
    folder.mkdir(parents=True)
    return make_replica(
        folder=folder / "copy",
        root=desk.root,
        content=content,
        reader=desk.reader,
        cache=desk.load(),
        repository=desk.repository,
        prefix=desk.prefix,
        rules=desk.rules,
        defaults=desk.defaults,
    )


def settled(desk: Desk) -> Content:
    """A checkpoint after which the stat cache knows every file: none was touched in the same tick."""
    wait_past(desk.root, ctime_now(desk.root))
    return desk.take().content


def read(desk: Desk, replica: Replica, start: Content) -> ViewScan:
    with Pack(desk.repository, "view") as pack:
        found = read_replica(replica, pack=pack, start=start, reader=desk.reader)
        pack.finish()
    return found


def paths(scan: ViewScan) -> set[bytes]:
    return {change.path for change in scan.changes}


def git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return ended.stdout.rstrip("\n")


def looked_at(desk: Desk, root: Path) -> dict[bytes, Item]:
    """What a plain snapshot says of any folder, with a repository of its own so that nothing is shared."""
    plain = Desk(desk.root.parent / "plain")
    plain.rules = desk.rules
    subprocess.run(["cp", "-a", f"{root}/.", plain.root / "x"], check=True)
    for name in (".git", ".gitckpt"):
        found = plain.root / "x" / name
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    shutil.move(plain.root / ".git", plain.root / "x" / ".git")
    plain.root = plain.root / "x"
    plain.repository = discover(plain.root)
    try:
        taken = plain.take().content
        plain.reader.close()
        plain.reader = type(plain.reader)(plain.repository)
        return list_content(plain.reader, taken)
    finally:
        plain.reader.close()


@pytest.mark.parametrize("known", ["cached", pytest.param("from git", marks=pytest.mark.sweep)])
def test_the_torture_workspace_is_copied_exactly_and_what_is_done_to_it_is_read_back(
    desk: Desk, torture: ModuleType, known: str
) -> None:
    tool = torture.__file__
    assert tool is not None
    desk.rules = EVERYTHING
    subprocess.run([sys.executable, tool, "make", desk.root], check=True, capture_output=True)
    start = desk.take().content
    if known == "from git":
        desk.cache_path.unlink()
    replica = replicate(desk, start)
    assert (replica.cloned > 100) == (known == "cached")
    assert replica.links == frozenset()
    wanted = scanned(torture, desk.root)
    assert differences(torture, wanted, replica.root) == []
    if known == "cached":
        times = {path: entry["mtime"] for path, entry in scanned(torture, replica.root).items()}
        assert [
            p
            for p, e in wanted.items()
            if e["type"] == "file" and not p.endswith((".key", ".pem", "id_rsa")) and times[p] != e["mtime"]
        ] == []
        assert (replica.root / "sparse" / "hole").stat().st_blocks < 100
    assert read(desk, replica, start).changes == ()
    subprocess.run([sys.executable, tool, "mutate", replica.root], check=True)
    found = read(desk, replica, start)
    after = list_content(desk.reader, start)
    for change in found.changes:
        assert after.get(change.path) == change.old
        if change.new is None:
            del after[change.path]
        else:
            after[change.path] = change.new
    assert after == looked_at(desk, replica.root) == captured_items(replica.cache)
    assert (found.hidden, found.left_out, found.uncaptured.count) == ((), (), 0)
    assert desk.take().content == start, "the workspace is as it was"


def test_what_is_not_captured_is_a_link_and_told_when_the_attempt_replaces_it(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\n/build/\n.venv/\nodd/\n")
    desk.with_rules(exclude=("big/",), outs=("odd/*.csv",))
    for name in ("data.log", ".env", "big/blob", "build/a/b", ".venv/bin/python", "src/m.py", "odd/x.csv", "odd/y"):
        desk.write(name, name)
    desk.git("add", "-A", "src", ".gitignore")
    desk.git(*WHO, "commit", "-qm", "x")
    before = desk.git("status", "--short")
    start = desk.take().content
    replica = replicate(desk, start)
    root = replica.root
    assert replica.links == {b"data.log", b".env", b"big", b"build/a", b".venv/bin", b"odd/y"}
    for link in replica.links:
        assert os.readlink(os.fsencode(root) + b"/" + link) == os.fsencode(desk.root) + b"/" + link
    assert not (root / "odd").is_symlink()
    assert (root / "odd" / "x.csv").read_text() == "odd/x.csv"
    assert git(root, "status", "--short") == before.replace("big/", "big"), "git sees no difference"
    quiet = read(desk, replica, start)
    assert (quiet.changes, quiet.hidden, quiet.left_out, quiet.uncaptured.count) == ((), (), (), 0)

    (root / "data.log").unlink()
    (root / "data.log").write_text("mine")
    (root / ".env").unlink()
    (root / "build" / "new").write_text("object")
    (root / ".venv" / "lib").mkdir()
    (root / "odd" / "z").write_text("ignored")
    (root / "odd" / "w.csv").write_text("captured")
    (root / "src" / "run.log").write_text("log")
    (root / "src" / "key").mkdir()
    (root / "src" / "key" / "id_rsa").write_text("secret")
    found = read(desk, replica, start)
    assert paths(found) == {b"odd/w.csv", b"src/key"}
    assert found.hidden == (
        b".env", b".venv/lib", b"build/new", b"data.log", b"odd/z", b"src/key/id_rsa", b"src/run.log",
    )  # fmt: skip
    assert [each.path for each in found.left_out] == [b"src/key/id_rsa"]
    assert set(found.uncaptured.paths) == {b"build/new", b"data.log", b"odd/z", b"src/run.log"}
    assert read(desk, replica, start).hidden == found.hidden, "and again"
    assert (desk.root / "data.log").read_text() == "data.log"


def test_links_that_were_moved_or_are_no_longer_hidden_are_no_changes(desk: Desk) -> None:
    desk.write(".gitignore", "build/\n*.log\n")
    desk.write("sub/.env", "TOKEN=x")
    desk.write("sub/code", "x")
    desk.write("build/o", "x")
    desk.write("run.log", "x")
    start = desk.take().content
    replica = replicate(desk, start)
    (replica.root / "sub").rename(replica.root / "moved")
    (replica.root / ".gitignore").unlink()
    found = read(desk, replica, start)
    assert paths(found) == {b".gitignore", b"moved", b"moved/code", b"sub", b"sub/code"}
    assert found.hidden == (b"moved/.env", b"sub/.env")


def test_a_pattern_for_any_folder_keeps_ignored_folders_real(desk: Desk) -> None:
    desk.write(".gitignore", "out/\n")
    desk.with_rules(outs=("*.csv",))
    desk.write("out/deep/log", "x")
    desk.write("a", "x")
    start = desk.take().content
    replica = replicate(desk, start)
    assert replica.links == {b"out/deep/log"}
    (replica.root / "out" / "deep" / "made.csv").write_text("1")
    (replica.root / "out" / "deep" / "made.txt").write_text("1")
    found = read(desk, replica, start)
    assert paths(found) == {b"out", b"out/deep", b"out/deep/made.csv"}
    assert found.hidden == (b"out/deep/made.txt",)


def test_a_tracked_file_that_is_not_captured_is_a_copy_so_that_git_sees_no_link(desk: Desk) -> None:
    desk.write(".env", "A=1\n")
    desk.write("raw/tracked", "x\n")
    desk.write("raw/other", "x\n")
    desk.with_rules(exclude=("raw/",))
    desk.git("add", "-f", ".env", "raw/tracked")
    desk.git(*WHO, "commit", "-qm", "x")
    start = desk.take().content
    replica = replicate(desk, start)
    assert replica.links == {b"raw/other"}
    assert git(replica.root, "diff", "--stat") == ""
    assert read(desk, replica, start).hidden == ()
    (replica.root / ".env").write_text("A=2\n")
    (replica.root / "raw" / "new").write_text("2\n")
    assert read(desk, replica, start).hidden == (b".env", b"raw/new")
    assert (desk.root / ".env").read_text() == "A=1\n"


def test_a_commit_inside_reaches_the_users_repository(desk: Desk) -> None:
    desk.write("sub/a", "1\n")
    desk.git("add", ".")
    desk.git(*WHO, "commit", "-qm", "first")
    replica = replicate(desk, desk.take().content)
    (replica.root / "sub" / "a").write_text("2\n")
    git(replica.root / "sub", *WHO, "commit", "-qam", "from the copy")
    assert desk.git("log", "-1", "--format=%s") == "from the copy"
    assert desk.git("show", "HEAD:sub/a") == "2"
    assert git(replica.root, "status", "--short") == ""
    assert (desk.root / "sub" / "a").read_text() == "1\n"


def test_a_workspace_in_a_subfolder_has_the_rest_of_the_repository_beside_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "w", "jobs/etl")
    top = desk.repository.top
    for name in ("lib/a.c", "jobs/etl/in", "jobs/shared", "README"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    (top / ".gitignore").write_text("*.tmp\n/untracked/\n")
    (top / "untracked").mkdir()
    (top / "untracked" / "f").write_text("f")
    desk.git("add", ".")
    desk.git(*WHO, "commit", "-qm", "x")
    desk.write("x.tmp", "ignored from above")
    start = desk.take().content
    replica = replicate(desk, start)
    assert replica.root == replica.folder / "jobs" / "etl"
    assert (replica.root / ".." / "shared").read_text() == "jobs/shared"
    assert (replica.folder / "untracked" / "f").resolve() == top / "untracked" / "f"
    assert replica.links == {b"x.tmp"}
    assert git(replica.root, "rev-parse", "--show-toplevel") == str(replica.folder)
    assert git(replica.root, "status", "--short") == ""
    (replica.root / "y.tmp").write_text("hidden")
    (replica.root / "out").write_text("made")
    (replica.folder / "lib" / "a.c").write_text("changed")
    (replica.folder / "jobs" / "stray").write_text("new")
    found = read(desk, replica, start)
    assert (paths(found), found.hidden) == ({b"out"}, (b"y.tmp",))
    assert changed_beside(replica) == (top / "jobs" / "stray", top / "lib" / "a.c")
    git(replica.root, *WHO, "commit", "-qam", "all")
    assert desk.git("show", "--stat", "--format=", "HEAD").splitlines()[0].split()[0] == "lib/a.c"
    desk.reader.close()


def test_in_a_linked_worktree_git_and_the_ignore_rules_are_those_of_the_worktree(tmp_path: Path, desk: Desk) -> None:
    desk.write("a", "1\n")
    desk.git("add", ".")
    desk.git(*WHO, "commit", "-qm", "x")
    desk.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    linked = Desk.__new__(Desk)
    linked.__dict__.update(desk.__dict__)
    linked.root = Path(os.path.realpath(tmp_path / "linked"))
    linked.repository = discover(linked.root)
    linked.write(".gitignore", "*.o\n")
    linked.write("b.o", "x")
    start = linked.take().content
    replica = replicate(linked, start)
    assert git(replica.root, "branch", "--show-current") == "side"
    assert replica.links == {b"b.o"}
    (replica.root / "c.o").write_text("x")
    git(replica.root, *WHO, "commit", "--allow-empty", "-qm", "aside")
    assert desk.git("log", "-1", "--format=%s", "side") == "aside"
    found = read(linked, replica, start)
    assert (found.changes, found.hidden) == ((), (b"c.o",))


def test_a_repository_that_binds_git_to_its_work_tree_gets_no_copy(desk: Desk) -> None:
    desk.write("a", "1\n")
    start = desk.take().content
    desk.git("config", "core.worktree", str(desk.root))
    with pytest.raises(WorkTreeElsewhere) as refused:
        replicate(desk, start)
    assert "core.worktree" in refused.value.hint


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The files that a snapshot reads."""
    seen: list[bytes] = []
    real = Capture.file

    def file(self: Capture, path: bytes, known: bytes) -> Captured:
        seen.append(path)
        return real(self, path, known)

    with monkeypatch.context() as patched:
        patched.setattr(Capture, "file", file)
        yield seen


def test_only_what_the_attempt_touched_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        desk.write(f"d{number % 5}/f{number}", f"{number}\n")
    first = settled(desk)
    desk.write("d1/f1", "of a later checkpoint\n")
    start = desk.take().content
    desk.go(first)
    replica = replicate(desk, start)
    assert replica.cloned == 49, "the one that the workspace does not have comes from git"
    assert (replica.root / "d1" / "f1").read_text() == "of a later checkpoint\n"
    with counted(monkeypatch) as seen:
        assert read(desk, replica, start).changes == ()
        assert seen == []
        (replica.root / "d2" / "f2").write_text("changed\n")
        again = load_replica(replica.folder, desk.repository, desk.rules)
        assert again is not None
        assert paths(read(desk, again, start)) == {b"d2/f2"}
        assert seen == [b"d2/f2"]
    assert paths(read(desk, replica, first)) == {b"d1/f1", b"d2/f2"}, "compared with whatever is asked for"


def test_a_file_that_changes_while_it_is_copied_is_taken_from_git(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("a", "captured\n" * 1000)
    start = settled(desk)
    real = os.copy_file_range

    def meanwhile(source: int, target: int, count: int, at: int, to: int) -> int:
        desk.write("a", "torn\n" * 3000)
        return real(source, target, count, at, to)

    monkeypatch.setattr(os, "copy_file_range", meanwhile)
    replica = replicate(desk, start)
    assert (replica.root / "a").read_text() == "captured\n" * 1000
    assert replica.cloned == 0


@pytest.mark.parametrize("refused", [errno.EOPNOTSUPP, errno.EXDEV])
def test_where_nothing_is_shared_or_copied_by_the_kernel_the_bytes_are_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    desk.write("a", os.urandom(3_000_000))
    desk.write("b", "small\n")
    start = settled(desk)

    def no(*_arguments: object) -> int:
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(fcntl, "ioctl", no)
    monkeypatch.setattr(os, "copy_file_range", no)
    replica = replicate(desk, start)
    assert (replica.root / "a").read_bytes() == (desk.root / "a").read_bytes()
    assert replica.cloned == 2
    assert read(desk, replica, start).changes == ()


def test_too_little_room_is_said_before_anything_is_copied(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("a", bytes(range(256)) * 400)
    start = desk.take().content
    real = os.statvfs

    def nearly_full(path: Path) -> SimpleNamespace:
        found = real(path)
        return SimpleNamespace(
            f_bavail=20, f_blocks=found.f_blocks, f_frsize=4096, f_files=found.f_files, f_favail=found.f_favail
        )

    monkeypatch.setattr(os, "statvfs", nearly_full)
    with pytest.raises(ReplicaTooBig) as refused:
        replicate(desk, start)
    assert "needs 102,400 bytes" in refused.value.message
    assert "has 81,920 left" in refused.value.message.replace(" bytes left", " left")
    assert os.listdir(refused.value.folder) == []
