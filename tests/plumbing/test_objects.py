"""The encoders against git itself: the same ids, the same order, and the same names refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitckpt.model.names import Oid
from gitckpt.plumbing.objects import (
    DIRECTORY,
    EXECUTABLE,
    FILE,
    LINK,
    Signature,
    encode_commit,
    encode_tree,
    object_id,
    parse_commit,
    parse_tree,
    refusable,
)
from gitckpt.plumbing.repository import Repository

Plain = Callable[..., bytes]

ORDINARY = (
    b"a", b"a.b", b"a-b", b"ab", b"a0", b".gitignore", b".gitmodules", b".gitattributes~1", b"git", b"git~2", b"...",
    b".github", b"-x", b" ", b"new\nline", b"tab\tquote\"", b"\xff\xfe", "é".encode(), b"x" * 255, b"..a",
    b".gi\xcc\x80t",
)  # fmt: skip
REFUSED = (
    b"", b".", b"..", b"a/b", b"nul\0", b".git", b".GIT", b".Git", b"git~1", b"GIT~1", b"Git~1", b".git ", b".git.",
    b".git . .", b".git\\", b".git\\x", b".git::$INDEX_ALLOCATION", b".git:x", b"x\\.git", b"x\\y\\git~1", b"\\.git ",
    ".g\u200cit".encode(), "\u200c.git".encode(), ".git\ufeff".encode(), ".g\u206fi\u202aT".encode(),
    b".git\xff", b".git\xe2\x80",
)  # fmt: skip


def fsck_refuses(plain: Plain, repository: Repository, names: list[bytes]) -> set[bytes]:
    """The names for which git's own check of a tree holding them reports an error."""
    blob = bytes.fromhex(plain(repository.top, "hash-object", "-w", "--stdin", stdin=b"x").decode().strip())
    trees = {}
    for name in names:
        raw = b"100644 %b\0%b" % (name, blob)
        oid = plain(repository.top, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=raw)
        trees[oid.strip()] = name
    said = plain(repository.top, "-c", "core.protectNTFS=true", "-c", "core.protectHFS=true", "fsck", "--strict",
                 "--no-dangling", ok=tuple(range(8)))  # fmt: skip
    bad = re.findall(rb"in tree ([0-9a-f]+): (?!gitmodules)", said)
    return {trees[oid] for oid in bad if oid in trees}


def test_exactly_the_names_that_git_refuses_are_refusable(plain: Plain, repository: Repository) -> None:
    # A NUL ends the name inside a tree, so git cannot be asked about it.
    candidates = [name for name in (*ORDINARY, *REFUSED) if b"\0" not in name]
    assert fsck_refuses(plain, repository, candidates) == {name for name in candidates if refusable(name)}
    assert [name for name in ORDINARY if refusable(name)] == []
    assert [name for name in REFUSED if not refusable(name)] == []


LOOKALIKE = st.lists(
    st.sampled_from([b".", b"g", b"G", b"i", b"I", b"t", b"T", b"~1", b".git", b"git~1", b" ", b":", b"\\", b"x",
                     "\u200d".encode(), "\ufeff".encode(), b"\xff", "é".encode(), b"\xe2\x80"]),
    min_size=1, max_size=7,
).map(b"".join)  # fmt: skip


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(LOOKALIKE, min_size=40, max_size=40, unique=True))
def test_names_made_of_pieces_of_dot_git_are_judged_as_git_judges_them(
    plain: Plain, repository: Repository, names: list[bytes]
) -> None:
    assert fsck_refuses(plain, repository, names) == {name for name in names if refusable(name)}


@pytest.mark.parametrize("name", REFUSED)
def test_a_tree_with_a_refusable_name_cannot_be_encoded(name: bytes) -> None:
    with pytest.raises(ValueError, match="cannot hold the name"):
        encode_tree([(b"fine", FILE, bytes(20)), (name, FILE, bytes(20))])


def test_a_tree_cannot_hold_a_name_twice_even_as_file_and_folder() -> None:
    with pytest.raises(ValueError, match="twice"):
        encode_tree([(b"a", FILE, bytes(20)), (b"a", DIRECTORY, bytes(20)), (b"a-", FILE, bytes(20))])


def test_a_tree_has_the_id_and_the_order_that_git_gives_it(plain: Plain, repository: Repository) -> None:
    blob = plain(repository.top, "hash-object", "-w", "--stdin", stdin=b"x").strip()
    empty = plain(repository.top, "hash-object", "-t", "tree", "-w", "--stdin").strip()
    modes = (FILE, EXECUTABLE, LINK, DIRECTORY)
    entries = [(name, modes[at % 4]) for at, name in enumerate(reversed(ORDINARY))]
    lines = b"".join(
        b"%06o %b %b\t%b\0"
        % (mode, b"tree" if mode == DIRECTORY else b"blob", empty if mode == DIRECTORY else blob, name)
        for name, mode in entries
    )
    theirs = plain(repository.top, "mktree", "-z", stdin=lines).decode().strip()
    raw = {DIRECTORY: bytes.fromhex(empty.decode())}
    ours = encode_tree((name, mode, raw.get(mode, bytes.fromhex(blob.decode()))) for name, mode in entries)
    assert object_id(repository.object_format, "tree", ours).hex() == theirs
    back = parse_tree(ours, len(repository.null))
    assert {(name, entry.mode) for name, entry in back.items()} == set(entries)


@pytest.mark.parametrize("data", [b"1", b"100644 a", b"100644 a\0short", b"abc x\0" + bytes(20)])
def test_bytes_that_are_no_tree_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_tree(data, 20)


def test_a_commit_has_the_id_that_git_gives_it(plain: Plain, repository: Repository, anyone: Signature) -> None:
    tree = plain(repository.top, "hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
    first = encode_commit(
        tree=bytes.fromhex(tree), parents=(), author=anyone, committer=anyone, message="one\n\ntwo é\n"
    )
    stored = plain(repository.top, "hash-object", "-t", "commit", "-w", "--stdin", stdin=first).decode().strip()
    assert stored == object_id(repository.object_format, "commit", first).hex()
    shown = plain(repository.top, "log", "-1", "--format=%an|%ae|%at|%ad|%B", "--date=raw", stored).decode()
    assert shown.startswith("Ann Example|ann@example.org|1700000000|1700000000 -0330|one\n\ntwo é\n")


@pytest.mark.parametrize(
    ("name", "email", "seconds", "offset"),
    [
        ("", "", 0, 0),
        ("<>", "<x@y>", -5, 765),
        ("new\nline\0nul", "a\nb@c\0", 2**40, -720),
        (" .,;dots., ", " spaces ", 1, 1),
        ("\ud800 lone", "\udcff@x", 1, 0),
        ("Zoë \u202eevil", "z@example.org", 1, 345),
    ],
)
def test_no_name_makes_a_commit_that_fsck_refuses(
    plain: Plain, repository: Repository, name: str, email: str, seconds: int, offset: int
) -> None:
    who = Signature(name=name, email=email, seconds=seconds, offset_minutes=offset)
    tree = plain(repository.top, "hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
    data = encode_commit(tree=bytes.fromhex(tree), parents=(), author=who, committer=who, message="a\0b")
    oid = plain(repository.top, "hash-object", "-t", "commit", "-w", "--stdin", stdin=data).decode().strip()
    plain(repository.top, "update-ref", "refs/heads/main", oid)
    said = plain(repository.top, "fsck", "--strict", "--no-dangling")
    assert b"error" not in said
    assert b"warning" not in said
    assert parse_commit(Oid(oid), data).author.name


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<>", exclude_categories=["C", "Z"]), min_size=1)


@given(
    name=TEXT,
    seconds=st.integers(0, 2**40),
    offset=st.integers(-14 * 60, 14 * 60),
    message=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    parents=st.lists(st.binary(min_size=20, max_size=20), max_size=3),
)
def test_a_commit_comes_back_as_it_was_written(
    name: str, seconds: int, offset: int, message: str, parents: list[bytes]
) -> None:
    who = Signature(name=f"a{name}b", email="a@b", seconds=seconds, offset_minutes=offset)
    ids = tuple(Oid(parent.hex()) for parent in parents)
    data = encode_commit(tree=bytes(20), parents=ids, author=who, committer=who, message=message)
    back = parse_commit(Oid("0" * 40), data)
    assert (back.parents, back.author, back.committer) == (ids, who, who)
    assert back.message == (message if message.endswith("\n") else message + "\n")


def test_a_commit_of_a_stranger_is_read_with_its_signature_and_odd_headers() -> None:
    data = (
        b"tree " + b"1" * 40 + b"\nauthor  <> 5 +0000\ncommitter X <x@y>\nencoding latin-1\n"
        b"gpgsig -----BEGIN\n parent fake\n -----END\n\nmessage \xe9\n"
    )
    found = parse_commit(Oid("2" * 40), data)
    assert found.parents == ()
    assert found.committer == Signature(name="X", email="x@y", seconds=0, offset_minutes=0)
    assert found.message == "message \ufffd\n"


@pytest.mark.parametrize("data", [b"", b"tree zz\nauthor a\ncommitter b\n\n", b"blob of text\n"])
def test_bytes_that_are_no_commit_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_commit(Oid("0" * 40), data)
