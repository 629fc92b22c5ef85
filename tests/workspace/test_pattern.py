"""What a glob matches, against the standard library's on the same tree, and where it must not go."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.repeat import Foreach
from gitckpt.workspace.pattern import Ways, matching
from gitckpt.workspace.sources import SourceUnreadable, read_items

TREE = [
    "a",
    "b.csv",
    ".hid.csv",
    "d/a",
    "d/b.csv",
    "d/.x/c.csv",
    "d/e/a.csv",
    "d/e/f/b1.csv",
    "e/[x]",
    "e/*",
    "ab/é.csv",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for name in (*TREE, ".git/a.csv", "d/.git/a.csv", ".gitckpt/a.csv", "ab/.gitckpt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path, *patterns: str) -> list[str]:
    paths = [os.fsdecode(path) for path in matching(root, patterns)]
    assert len(set(paths)) == len(paths), "a path came twice"
    return sorted(paths)


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.csv", [".hid.csv", "b.csv"]),
        ("d/*", ["d/.x", "d/a", "d/b.csv", "d/e"]),
        ("d/*/", ["d/.x", "d/e"]),
        ("./d//e", ["d/e"]),
        ("b.csv/", []),
        ("d/e/**", ["d/e/a.csv", "d/e/f", "d/e/f/b1.csv"]),
        ("**/a.csv", ["d/e/a.csv"]),
        ("**/e/**/b?.csv", ["d/e/f/b1.csv"]),
        ("**/**/b*.csv", ["b.csv", "d/b.csv", "d/e/f/b1.csv"]),
        ("ab/?.csv", ["ab/é.csv"]),
        ("[!b].csv", []),
        ("[^x-z].csv", ["b.csv"]),
        ("[a-c]*", ["a", "ab", "b.csv"]),
        (r"e/\[x\]", ["e/[x]"]),
        (r"e/\*", ["e/*"]),
        ("D/*", []),
        (".git/*", []),
        (".gitckpt/a.csv", []),
        (".", []),
    ],
)
def test_a_pattern_begins_at_the_top_and_matches_as_gitignore_does(tree: Path, pattern: str, paths: list[str]) -> None:
    assert found(tree, pattern) == paths


def test_several_patterns_give_each_path_once(tree: Path) -> None:
    assert found(tree, "*.csv", "**/b*.csv", "b.csv") == [".hid.csv", "b.csv", "d/b.csv", "d/e/f/b1.csv"]


segments = st.sampled_from(["**", "*", "a", "d", "e", "?", "*.csv", "[a-d]", "b*", "[!d]*", "*e*", ".*"])


@given(st.lists(segments, min_size=1, max_size=4).filter(lambda parts: parts[-1] != "**"))
def test_the_standard_library_finds_the_same(tree: Path, parts: list[str]) -> None:
    pattern = "/".join(parts)
    theirs = glob.glob(pattern, root_dir=tree, recursive=True, include_hidden=True)
    own = {".git", ".gitckpt"}
    assert found(tree, pattern) == sorted({path for path in theirs if not own & set(path.split("/"))})


def test_links_to_folders_are_entries_and_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "loop").symlink_to("..")
    assert found(tmp_path, "**/x", "link", "link/*") == ["link", "real/x"]
    assert found(tmp_path, "*/") == ["real"]


def test_names_of_any_bytes_are_matched_one_stray_byte_a_character(tmp_path: Path) -> None:
    names = [b"\xff", b"\xff\xfe", b"a\nb", b" ", "ü".encode()]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    assert set(matching(tmp_path, ("*",))) == set(names)
    assert set(matching(tmp_path, ("?",))) == {b"\xff", b" ", "ü".encode()}
    assert set(matching(tmp_path, ("a*b",))) == {b"a\nb"}


def test_only_folders_that_can_hold_a_match_are_listed(tmp_path: Path) -> None:
    (tmp_path / "wanted").mkdir()
    (tmp_path / "wanted" / "x").touch()
    (tmp_path / "other" / "deep").mkdir(parents=True)
    seen = matching(tmp_path, ("wanted/*",))
    assert list(seen) == [b"wanted/x"]
    (tmp_path / "other").chmod(0)
    try:
        assert list(matching(tmp_path, ("wanted/*",))) == [b"wanted/x"]
    finally:
        (tmp_path / "other").chmod(0o755)


def test_a_tree_deeper_than_a_path_can_be_is_an_error_not_an_endless_walk(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(25):
            os.mkdir("x" * 200, dir_fd=here)
            below = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    with pytest.raises(OSError, match="name too long"):
        list(matching(tmp_path, ("**/y",)))
    with pytest.raises(SourceUnreadable, match=r"^x{200}/.*: File name too long$"):
        list(read_items(tmp_path, Foreach(glob=("**/y",)), None, None))


@pytest.mark.parametrize(
    ("pattern", "ways", "others"),
    [
        ("data/*.csv", [b"data"], [b"a/data", b"data/a", b"dat"]),
        ("/a/*/c/", [b"a", b"a/b"], [b"a/b/c", b"b"]),
        ("a/**/c", [b"a", b"a/b", b"a/b/c"], [b"b"]),
        ("**/data/*.csv", [b"data", b"a/b/data"], [b"a", b"a/b"]),
        ("*.csv", [], [b"data", b"a/b"]),
        ("data/", [], [b"data"]),
        ("!data/x", [], [b"data"]),
        ("# a/b", [], [b"# a"]),
    ],
)
def test_the_folders_above_what_a_pattern_matches_are_those_it_names(
    pattern: str, ways: list[bytes], others: list[bytes]
) -> None:
    found = Ways([pattern])
    assert [path for path in (*ways, *others) if found.lead_through(path)] == ways
