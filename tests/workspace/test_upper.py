"""What is read from an upper directory is what a snapshot of the view itself gives; for the superuser and for others.

Every scenario goes all the way: mounted, changed, scanned with the view alive and dead, laid under another view, and
brought to the workspace, which then holds exactly what the view showed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.plumbing.content import Content, Lookup, list_content
from gitckpt.plumbing.ignore import tracked_in
from gitckpt.plumbing.pack import Pack
from gitckpt.workspace import view_rules
from gitckpt.workspace.upper import UpperScan, scan
from tests.workspace.desk import Desk
from tests.workspace.scenarios import SCENARIOS
from tests.workspace.views import RULES, prepare

CHECKOUT = Path(__file__).parents[2]


def memory() -> str:
    """A disk on which 500 syncs cost nothing, where there is one that can hold an upper directory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else "/tmp") as tried:
        try:
            os.setxattr(tried, "user.tried", b"1")
        except OSError:
            return "/tmp"
        return os.path.dirname(tried)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own lie below one that only we can enter."""
    folder = Path(tempfile.mkdtemp(prefix="gitckpt-test-", dir=memory()))
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=False)
    shutil.rmtree(folder)


# All in one process: the parts of a scenario cost less than the start of one.
@pytest.mark.parametrize("group", ["own", "torture"])
@pytest.mark.parametrize(
    "user",
    [pytest.param((), id="as we are"), pytest.param(("nobody",), id="without rights", marks=pytest.mark.sweep)],
)
def test_the_upper_directory_tells_what_a_snapshot_of_the_view_would(
    user: tuple[str, ...], group: str, open_folder: Path
) -> None:
    if group == "torture" and not (CHECKOUT.parent / "shared" / "tools" / "torture.py").exists():
        pytest.skip("the torture tool is not beside this checkout")
    # No bytecode: the other user may not write it, and ours must not appear because of a test.
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HOME": str(open_folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["TMPDIR"] = str(open_folder)
    environment.pop("XDG_CONFIG_HOME", None)
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("mounted.py"), open_folder, group, *user],
        capture_output=True,
        text=True,
        cwd=open_folder,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told.keys() == {name for name, scenario in SCENARIOS.items() if scenario.group == group}
    assert {name: what for name, what in told.items() if what != "fine"} == {}, ended.stderr


# --- without a mount ----------------------------------------------------------------------------------------


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    folder = tmp_path / "upper"
    folder.mkdir(mode=0o755)
    return folder


def scanned(desk: Desk, upper: Path, start: Content) -> UpperScan:
    with Pack(desk.repository, "scan") as pack:
        return scan(
            upper=upper,
            seen=None,
            start=start,
            repository=desk.repository,
            prefix=desk.prefix,
            rules=desk.rules,
            pack=pack,
            reader=desk.reader,
            defaults=desk.defaults,
        )


def test_a_whiteout_in_the_form_of_an_attribute_removes_too(desk: Desk, upper: Path) -> None:
    desk.write("d/gone")
    desk.write("d/empty", "")
    start = desk.take().content
    (upper / "d").mkdir(mode=0o755)
    os.setxattr(upper / "d", "user.overlay.opaque", b"x")
    for name in ("gone", "new"):
        (upper / "d" / name).touch(0o644)
    os.setxattr(upper / "d" / "gone", "user.overlay.whiteout", b"y")
    found = scanned(desk, upper, start)
    assert [(change.path, change.new is None) for change in found.changes] == [(b"d/gone", True), (b"d/new", False)]


def test_git_is_not_asked_where_no_entry_needs_a_decision(
    desk: Desk, upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write(".gitignore", "*.log\n")
    desk.write("a")
    start = desk.take().content
    (upper / "a").write_text("changed\n")

    def refuse(*_arguments: object, **_more: object) -> None:
        raise AssertionError("git was asked")

    monkeypatch.setattr(view_rules, "Ignore", refuse)
    assert [change.path for change in scanned(desk, upper, start).changes] == [b"a"]


@pytest.mark.parametrize("excludes", ["rules", "{top}/rules"])
def test_the_users_own_excludes_count_in_a_view(desk: Desk, upper: Path, excludes: str) -> None:
    desk.write("rules", "*.mine\n")
    desk.git("config", "core.excludesFile", excludes.format(top=desk.repository.top))
    (desk.repository.git_dir / "info" / "exclude").write_text("*.local\n")
    start = desk.take().content
    for name in ("x.mine", "y.local", "z"):
        (upper / name).write_text(name)
    found = scanned(desk, upper, start)
    assert [change.path for change in found.changes] == [b"z"]
    assert found.hidden == (b"x.mine", b"y.local")


def test_our_own_folders_in_an_upper_directory_are_not_looked_at(desk: Desk, upper: Path) -> None:
    start = desk.take().content
    for name in (".git/x", ".gitckpt/live/x"):
        (upper / name).parent.mkdir(parents=True)
        (upper / name).write_text("x")
    assert scanned(desk, upper, start) == UpperScan(
        changes=(), unstable=(), left_out=(), not_kept=(), uncaptured=scanned(desk, upper, start).uncaptured, hidden=()
    )


def test_a_changed_ignore_file_is_reported_and_what_was_captured_stays_so(desk: Desk, upper: Path) -> None:
    desk.write("a.log")
    desk.write("b")
    start = desk.take().content
    (upper / ".gitignore").write_text("*.log\n")
    found = scanned(desk, upper, start)
    assert found.moved_rules
    assert [(change.path, change.new is None) for change in found.changes] == [(b".gitignore", False)]


def test_a_lookup_says_of_every_path_what_the_list_does(desk: Desk) -> None:
    desk.rules = RULES
    prepare(desk)
    desk.write("look/.git./deep/x")
    desk.write("a b/private", mode=0o600)
    content = desk.take().content
    listed = list_content(desk.reader, content)
    lookup = Lookup(desk.reader, content)
    assert {path: lookup.item(path) for path in listed} == listed
    assert dict(lookup.below(b"")) == listed
    for folder in (b"look/.git.", b"inner/.git/refs", b"d/e"):
        below = {path: item for path, item in listed.items() if path.startswith(folder + b"/")}
        assert below
        assert dict(lookup.below(folder)) == below
    for path in (b"", b"nowhere", b"d/nothing", b"a/below-a-file", b"look/.git./no"):
        assert lookup.item(path) is None
        assert path == b"" or lookup.children(path) == {}


@pytest.mark.parametrize("more", [0, 100])
def test_tracked_files_are_found_at_and_below_the_asked_paths(desk: Desk, more: int) -> None:
    for name in ("one", "two/deep/x", "two/y", "twofold", "*"):
        desk.write(name)
    desk.git("add", ".")
    many = [b"none-%d" % number for number in range(more)]

    def ask(paths: list[bytes]) -> frozenset[bytes]:
        return tracked_in(desk.repository, [*paths, *many])

    assert ask([b"one", b"two"]) == {b"one", b"two/deep/x", b"two/y"}
    assert ask([b"*"]) == {b"*"}
    assert ask([b"two/deep"]) == {b"two/deep/x"}
    assert tracked_in(desk.repository, []) == frozenset()
