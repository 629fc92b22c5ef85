"""Amending a content against building all of it again: the same trees, from the folders that lead to the changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitckpt.plumbing.amend import amend
from gitckpt.plumbing.content import (
    USUAL,
    Change,
    Content,
    Defaults,
    Item,
    Said,
    compare,
    defaults_under,
    list_content,
    not_kept,
)
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.graft import build, folders_above
from gitckpt.plumbing.objects import GITLINK, TreeEntry, refusable
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from tests.plumbing.test_content import MODES, NAME, leaf, trees

Items = dict[bytes, Item]
Sockets = dict[bytes, Said]

FOLDER = Item(kind="dir", mode=0o755)


def file(oid: bytes, mode: int = 0o644) -> Item:
    return Item(kind="file", mode=mode, oid=oid)


def put(path: bytes, new: Item | None) -> Change:
    return Change(path=path, old=None, new=new)


def amended(items: Items, sockets: Sockets, changes: Sequence[Change], defaults: Defaults) -> tuple[Items, Sockets]:
    """What is there after the changes: what goes takes all below it along, then what is new is put in, but below
    something that is no folder.
    """
    new = {change.path: change.new for change in changes}
    ends = {path for path, item in new.items() if item is None or item.kind != "dir"}
    stays = {path: item for path, item in items.items() if ends.isdisjoint((*folders_above(path), path))}
    stays.update((path, item) for path, item in new.items() if item is not None)
    after: Items = {}
    for path in sorted(stays, key=len):
        if all(after.get(above, FOLDER).kind == "dir" for above in folders_above(path)):
            made = {above: Item(kind="dir", mode=defaults.dir) for above in folders_above(path)}
            after = {**made, **after, path: stays[path]}
    named = {path: said for path, said in sockets.items() if path not in after and ends.isdisjoint(folders_above(path))}
    return after, named


# --- the same as building all of it -------------------------------------------------------------------------


@st.composite
def sockets_in(draw: st.DrawFn, items: Items) -> Sockets:
    """Sockets and devices in some of the folders, where nothing else is."""
    folders = [b"", *(path + b"/" for path, item in items.items() if item.kind == "dir")]
    named = st.builds(bytes.__add__, st.sampled_from(folders), NAME)
    said: st.SearchStrategy[Said] = st.sampled_from(["socket", "device"])
    found = draw(st.dictionaries(named, said, max_size=3))
    return {
        path: what for path, what in found.items() if path not in items and not any(map(refusable, path.split(b"/")))
    }


@st.composite
def changes_of(draw: st.DrawFn, items: Items, width: int) -> list[Change]:
    """Changes at paths that are there, below them, and elsewhere."""
    new = st.lists(NAME, min_size=1, max_size=4).map(b"/".join)
    there = st.sampled_from(sorted(items)) if items else new
    path = st.one_of(there, new, st.builds(lambda one, other: one + b"/" + other, there, new))
    item = st.one_of(st.none(), leaf(bytes(width)), st.builds(lambda mode: Item(kind="dir", mode=mode), MODES))
    return draw(st.lists(st.builds(put, path, item), max_size=8))


def check(
    repository: Repository, items: Items, sockets: Sockets, defaults: Defaults, steps: list[list[Change]]
) -> None:
    """Amend step by step in one open pack, and build each result from nothing in another."""
    with Reader(repository) as reader, Pack(repository, "built") as built, Pack(repository, "amended") as pack:
        with Pack(repository, "first") as first:
            content = build(first, items, defaults, sockets)
            first.finish()
        for changes in steps:
            items, sockets = amended(items, sockets, changes, defaults)
            content = amend(reader, pack, content, changes)
            assert content == build(built, items, defaults, sockets)
        assert list_content(Fresh(reader, pack), content) == items
        pack.finish()
        assert list_content(reader, content) == items
        assert not_kept(reader, content) == sockets


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_amending_gives_what_building_it_whole_gives(repository: Repository, data: st.DataObject) -> None:
    width = len(repository.null)
    items = data.draw(trees(width))
    sockets = data.draw(sockets_in(items))
    defaults = data.draw(st.sampled_from([USUAL, defaults_under(0o077)]))
    first = data.draw(changes_of(items, width))
    second = data.draw(changes_of(amended(items, sockets, first, defaults)[0], width))
    check(repository, items, sockets, defaults, [first, second])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_amending_by_what_differs_gives_the_other_content(repository: Repository, data: st.DataObject) -> None:
    one, other = data.draw(trees(len(repository.null))), data.draw(trees(len(repository.null)))
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        a, b = build(pack, one, USUAL), build(pack, other, USUAL)
        assert amend(reader, pack, a, compare(Fresh(reader, pack), a, b)) == b
        assert amend(reader, pack, b, compare(Fresh(reader, pack), b, a)) == a


X, Y = file(b"x" * 20), file(b"y" * 20, 0o600)
NESTED: Items = {
    b"n": FOLDER,
    b"n/.git": FOLDER,
    b"n/.git/HEAD": X,
    b"n/.git/hooks": Item(kind="dir", mode=0o700),
    b"n/.git/hooks/a": Y,
    b"n/f": X,
    b"n/d": FOLDER,
    b"n/d/.GIT": Item(kind="link", mode=0, oid=b"l" * 20),
}


@pytest.mark.parametrize(
    ("items", "changes"),
    [
        pytest.param({b"a": FOLDER, b"a/f": X}, [put(b"a/f", None)], id="a folder becomes empty"),
        pytest.param({b"a": FOLDER, b"a/f": Y}, [put(b"a/f", X)], id="a folder loses its last extra"),
        pytest.param({b"a": FOLDER}, [put(b"a/b/c/f", Y)], id="folders on the way are made"),
        pytest.param({b"a": FOLDER, b"a/b": FOLDER}, [put(b"a", Item(kind="dir", mode=0o700))], id="a folder's mode"),
        pytest.param({b"a": FOLDER, b"a/f": X, b"a/b": FOLDER}, [put(b"a", None)], id="a folder goes with all below"),
        pytest.param({b"a": FOLDER, b"a/f": X}, [put(b"a", Y)], id="a file takes a folder's place"),
        pytest.param({b"a": X}, [put(b"a", FOLDER)], id="an empty folder takes a file's place"),
        pytest.param({b"a": X}, [put(b"a", FOLDER), put(b"a/f", Y)], id="a folder takes a file's place"),
        pytest.param({b"a": X}, [put(b"a/f", Y)], id="a file stays in the way"),
        pytest.param({b"a": FOLDER, b"a/f": X}, [put(b"a", None), put(b"a/g", Y)], id="a folder is made again"),
        pytest.param({b"a": X}, [put(b"a", Item(kind="fifo", mode=0o600))], id="a FIFO takes a file's place"),
        pytest.param({b"a": Item(kind="fifo", mode=0o600)}, [put(b"a", X)], id="a file takes a FIFO's place"),
        pytest.param({b"a": Item(kind="fifo", mode=0o600)}, [put(b"a", None)], id="a FIFO goes"),
        pytest.param({}, [put(b"gone/f", None)], id="what was never there goes"),
        pytest.param({b"entries": FOLDER, b"entries/header": Y}, [put(b"header", Y)], id="names of the format's own"),
        pytest.param(NESTED, [put(b"n", None)], id="a nested repository goes with its folder"),
        pytest.param(NESTED, [put(b"n", X)], id="a file takes a nested repository's place"),
        pytest.param(NESTED, [put(b"n/.git", None)], id="what git would refuse goes with all below"),
        pytest.param(NESTED, [put(b"n/.git/HEAD", Y), put(b"n/.git/a/b", X)], id="what git would refuse changes"),
        pytest.param(NESTED, [put(b"n/.git/hooks", X), put(b"n/.git/hooks/b", X)], id="a file among what is refused"),
        pytest.param(NESTED, [put(b"n/.git/HEAD", Item(kind="dir", mode=0o700))], id="a folder among what is refused"),
        pytest.param(NESTED, [put(b"n", None), put(b"n/.git/HEAD", X)], id="a nested repository is made again"),
        pytest.param({}, [put(b".git/a/b", X), put(b"d/git~1", Y)], id="the first that git would refuse"),
    ],
)
def test_one_change_at_a_time(repository: Repository, items: Items, changes: list[Change]) -> None:
    def here(item: Item) -> Item:
        return replace(item, oid=item.oid and item.oid[:1] * len(repository.null))

    steps = [replace(each, new=each.new and here(each.new)) for each in changes]
    check(repository, {path: here(item) for path, item in items.items()}, {}, USUAL, [steps])


def test_sockets_stay_named_until_their_place_is_taken_or_their_folder_goes(repository: Repository) -> None:
    oid = bytes(len(repository.null))
    items = {b"run": FOLDER, b"run/pid": file(oid)}
    sockets: Sockets = {b"run/s": "socket", b"run/t": "device", b"top": "socket"}
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        fresh = Fresh(reader, pack)
        content = build(pack, items, USUAL, sockets)
        one = amend(
            reader, pack, content, [put(b"run/pid", None), put(b"run/s", file(oid, 0o600)), put(b"top", FOLDER)]
        )
        assert not_kept(fresh, one) == {b"run/t": "device"}
        assert list_content(fresh, one) == {b"run": FOLDER, b"run/s": file(oid, 0o600), b"top": FOLDER}
        assert not_kept(fresh, amend(reader, pack, content, [put(b"run", None)])) == {b"top": "socket"}


# --- what it costs ------------------------------------------------------------------------------------------


class CountingReader(Reader):
    """A reader that remembers which trees and blobs it was asked for."""

    asked: list[bytes]

    def tree(self, oid: bytes) -> dict[bytes, TreeEntry]:
        self.asked.append(oid)
        return super().tree(oid)

    def blob(self, oid: bytes) -> bytes:
        self.asked.append(oid)
        return super().blob(oid)


def test_only_the_folders_above_a_change_are_read_and_written(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        blob = pack.blob(b"x")
        items = {b"d%d/e%d/f%d" % (at, below, at): file(blob) for at in range(50) for below in range(3)}
        items |= {b"d%d/own%d" % (at, at): file(blob, 0o600) for at in range(50)}
        content = build(pack, items, USUAL)
        pack.finish()
    with CountingReader(repository) as reader, Pack(repository, "two") as pack:
        reader.asked = []
        # The tops, `d7`, `d7/e1`, with their parts of `extra`, and what these say.
        amend(reader, pack, content, [put(b"d7/e1/f", file(blob))])
        assert len(set(reader.asked)) <= 7
        assert len(pack) == 3
        amend(reader, pack, content, [put(b"d7/e1/f7", file(blob)), put(b"d8/none", None)])
        assert len(pack) == 3
        reader.asked = []
        amend(reader, pack, content, [put(b"d9", None)])
        assert len(set(reader.asked)) <= 3
        pack.finish()


def test_a_path_deeper_than_pythons_stack_is_amended(repository: Repository) -> None:
    path = b"/".join([b"d"] * 1200)
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        fresh = Fresh(reader, pack)
        empty = build(pack, {}, USUAL)
        deep = amend(reader, pack, empty, [put(path, file(pack.blob(b"x"), 0o600))])
        assert len(list_content(fresh, deep)) == 1200
        assert amend(reader, pack, deep, [put(b"d", None)]) == empty


# --- contents of other makers -------------------------------------------------------------------------------


def test_a_content_without_extra_gets_the_header_that_it_went_without(repository: Repository) -> None:
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        plain = build(pack, {b"a": file(pack.blob(b"x"))}, USUAL)
        assert amend(reader, pack, Content(files=plain.files), []) == plain


def test_a_submodules_entry_counts_as_the_empty_folder_that_git_makes_of_it(repository: Repository) -> None:
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        blob = pack.blob(b"x")
        stranger = Content(files=pack.tree([(b"sub", GITLINK, bytes(len(repository.null)))]))
        with_file = amend(reader, pack, stranger, [put(b"sub/f", file(blob))])
        assert with_file == build(pack, {b"sub/f": file(blob)}, USUAL)
        narrow = Item(kind="dir", mode=0o700)
        assert amend(reader, pack, stranger, [put(b"sub", narrow)]) == build(pack, {b"sub": narrow}, USUAL)
        assert amend(reader, pack, stranger, [put(b"sub", None)]) == build(pack, {}, USUAL)
