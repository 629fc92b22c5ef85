"""Contents against a dictionary of paths: flattening, comparing, pruning, and what a stranger's content may
not say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitckpt.errors import ObjectUnreadable
from gitckpt.plumbing.content import (
    ENTRIES,
    HEADER,
    USUAL,
    Change,
    Content,
    Defaults,
    Escaped,
    Extra,
    Item,
    compare,
    decode_extra,
    defaults_of,
    defaults_under,
    encode_extra,
    encode_header,
    escaped_id,
    list_content,
    mirrored,
    nest,
    not_kept,
    unnest,
)
from gitckpt.plumbing.objects import DIRECTORY, EXECUTABLE, FILE, LINK, refusable
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

Plain = Callable[..., bytes]


class Writer:
    """Writes contents by the format's text: the plainest way, one folder after the other, nothing cached."""

    def __init__(self, pack: Pack, items: Mapping[bytes, Item], defaults: Defaults) -> None:
        self.pack = pack
        self.items = items
        self.defaults = defaults
        self.escaped: list[tuple[bytes, int, bytes]] = []

    def folder(self, path: bytes) -> tuple[bytes | None, bytes | None]:
        files: list[tuple[bytes, int, bytes]] = []
        mirror: list[tuple[bytes, int, bytes]] = []
        said: list[Extra] = []
        away: list[Escaped] = []
        below = {p[len(path) :]: item for p, item in self.items.items() if p.startswith(path)}
        for rest, item in sorted(below.items()):
            name, _, deeper = rest.partition(b"/")
            if refusable(name):
                away.append(self.escape(path + rest, rest, item))
            elif not deeper and item.kind == "dir":
                inner_files, inner_mirror = self.folder(path + name + b"/")
                if inner_files:
                    files.append((name, DIRECTORY, inner_files))
                if inner_mirror:
                    mirror.append((mirrored(name), DIRECTORY, inner_mirror))
                if inner_files is None or item.mode != self.defaults.dir:
                    said.append(Extra(name=name, type="dir", mode=item.mode))
            elif not deeper:
                self.leaf(name, item, files, said)
        if said or away:
            mirror.append((ENTRIES, FILE, self.pack.blob(encode_extra(said, away))))
        if not path:
            mirror.append((HEADER, FILE, self.pack.blob(encode_header(self.defaults))))
        return (
            self.pack.tree(files) if files or not path else None,
            self.pack.tree(mirror) if mirror else None,
        )

    def leaf(self, name: bytes, item: Item, files: list[tuple[bytes, int, bytes]], said: list[Extra]) -> None:
        if item.kind == "link":
            files.append((name, LINK, item.oid))
        elif item.kind == "file":
            executable = bool(item.mode & 0o100)
            files.append((name, EXECUTABLE if executable else FILE, item.oid))
            if item.mode != (self.defaults.exec if executable else self.defaults.file):
                said.append(Extra(name=name, type="file", mode=item.mode))
        else:
            said.append(Extra(name=name, type="fifo", mode=item.mode))

    def escape(self, full: bytes, rest: bytes, item: Item) -> Escaped:
        if item.kind in ("dir", "fifo"):
            return Escaped(path=rest, type=item.kind, mode=item.mode)
        self.escaped.append((escaped_id(full).encode(), FILE, item.oid))
        return Escaped(path=rest, type=item.kind, mode=item.mode, id=escaped_id(full))


def store(pack: Pack, items: Mapping[bytes, Item], defaults: Defaults = USUAL) -> Content:
    """Write a content."""
    writer = Writer(pack, items, defaults)
    files, extra = writer.folder(b"")
    assert files is not None
    return Content(files=files, extra=extra, escaped=pack.tree(writer.escaped) if writer.escaped else None)


NAME = st.sampled_from(
    [b"a", b"b", b"a.d", b"a-", b"entries", b"header", b"\xff", b"new\nline", b".git", b"git~1", b"e"]
)
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o700, 0o444, 0o1755, 0o000])


def leaf(oid: bytes) -> st.SearchStrategy[Item]:
    return st.one_of(
        st.builds(lambda mode, n: Item(kind="file", mode=mode, oid=bytes([n]) + oid[1:]), MODES, st.integers(1, 3)),
        st.builds(lambda n: Item(kind="link", mode=0, oid=bytes([n]) + oid[1:]), st.integers(1, 3)),
        st.builds(lambda mode: Item(kind="fifo", mode=mode), MODES),
    )


def trees(width: int) -> st.SearchStrategy[dict[bytes, Item]]:
    """Workspaces as dictionaries: folders at every level, empty ones too."""
    nested = st.recursive(
        leaf(bytes(width)),
        lambda inner: st.tuples(MODES, st.dictionaries(NAME, inner, max_size=4)),
        max_leaves=12,
    )

    def flat(top: dict[bytes, object]) -> dict[bytes, Item]:
        found: dict[bytes, Item] = {}

        def walk(path: bytes, entries: dict[bytes, object]) -> None:
            for name, value in entries.items():
                if isinstance(value, Item):
                    found[path + name] = value
                elif isinstance(value, tuple):
                    found[path + name] = Item(kind="dir", mode=value[0])
                    walk(path + name + b"/", value[1])

        walk(b"", top)
        return found

    return st.dictionaries(NAME, nested, max_size=5).map(lambda top: flat(dict(top)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_content_lists_what_was_stored_and_compares_as_its_dictionary(
    repository: Repository, data: st.DataObject
) -> None:
    width = len(repository.null)
    one, other = data.draw(trees(width)), data.draw(trees(width))
    with Pack(repository, "one") as pack:
        a, b = store(pack, one), store(pack, other)
        # Half of the other content is the same as the first: that is where folders are not read.
        mixed = {**other, **{path: item for path, item in one.items() if path.split(b"/")[0] in (b"a", b"e", b".git")}}
        mixed = {
            path: item
            for path, item in mixed.items()
            if all(mixed.get(p) and mixed[p].kind == "dir" for p in parents(path))
        }
        c = store(pack, mixed)
        pack.finish()
    with Reader(repository) as reader:
        assert list_content(reader, a) == one
        assert list_content(reader, c) == mixed
        for before, old, after, new in ((a, one, b, other), (a, one, c, mixed), (b, other, c, mixed), (a, one, a, one)):
            assert compare(reader, before, after) == [
                Change(path=path, old=old.get(path), new=new.get(path))
                for path in sorted(old.keys() | new.keys())
                if old.get(path) != new.get(path)
            ]
        assert [change.new for change in compare(reader, None, a)] == [one[path] for path in sorted(one)]
        assert [change.old for change in compare(reader, a, None)] == [one[path] for path in sorted(one)]


def parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts))]


class CountingReader(Reader):
    """A reader that remembers which trees it was asked for."""

    asked: list[bytes]

    def tree(self, oid: bytes):  # type: ignore[no-untyped-def]
        self.asked.append(oid)
        return super().tree(oid)


def test_folders_that_are_equal_are_not_read(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        blob = pack.blob(b"x")
        items = {b"d%d" % at: Item(kind="dir", mode=0o755) for at in range(100)}
        items |= {b"d%d/f" % at: Item(kind="file", mode=0o600 + at % 2 * 0o44, oid=blob) for at in range(100)}
        # Each file in a tree of its own.
        items |= {b"d%d/g%d" % (at, at): Item(kind="file", mode=0o644, oid=blob) for at in range(100)}
        a = store(pack, items)
        b = store(pack, {**items, b"d7/f": Item(kind="file", mode=0o640, oid=blob)})
        pack.finish()
    with CountingReader(repository) as reader:
        reader.asked = []
        assert [change.path for change in compare(reader, a, b)] == [b"d7/f"]
        assert len(reader.asked) <= 12


def test_a_changed_file_in_a_nested_repository_is_seen_although_its_folder_says_the_same(
    repository: Repository,
) -> None:
    with Pack(repository, "one") as pack:
        items = {
            b"n": Item(kind="dir", mode=0o755),
            b"n/.git": Item(kind="dir", mode=0o700),
            b"n/.git/HEAD": Item(kind="file", mode=0o644, oid=pack.blob(b"one")),
        }
        a = store(pack, items)
        b = store(pack, {**items, b"n/.git/HEAD": Item(kind="file", mode=0o644, oid=pack.blob(b"two"))})
        pack.finish()
    assert a.extra == b.extra
    with Reader(repository) as reader:
        assert [change.path for change in compare(reader, a, b)] == [b"n/.git/HEAD"]


def test_other_defaults_change_the_mode_of_what_goes_without_saying(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        items = {
            b"d": Item(kind="dir", mode=0o700),
            b"d/f": Item(kind="file", mode=0o600, oid=pack.blob(b"x")),
        }
        narrow = store(pack, items, defaults_under(0o077))
        wide = Content(files=narrow.files)
        pack.finish()
    with Reader(repository) as reader:
        assert defaults_of(reader, narrow) == Defaults(file=0o600, exec=0o700, dir=0o700)
        assert defaults_of(reader, wide) == defaults_of(reader, None) == defaults_under(0o022)
        assert list_content(reader, narrow) == items
        changes = compare(reader, narrow, wide)
        assert [(change.path, change.new and change.new.mode) for change in changes] == [(b"d", 0o755), (b"d/f", 0o644)]


def test_sockets_and_devices_are_named_but_are_not_items(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        blob = pack.blob(
            encode_extra([Extra(name=b"s", type="socket", mode=0o755), Extra(name=b"v", type="device", mode=0o600)])
        )
        inner = pack.tree([(ENTRIES, FILE, blob)])
        extra = pack.tree(
            [
                (mirrored(b"run"), DIRECTORY, inner),
                (ENTRIES, FILE, pack.blob(encode_extra([Extra(name=b"run", type="dir", mode=0o755)]))),
            ]
        )
        a = Content(files=pack.tree([]), extra=extra)
        pack.finish()
    with Reader(repository) as reader:
        assert not_kept(reader, a) == {b"run/s": "socket", b"run/v": "device"}
        assert list_content(reader, a) == {b"run": Item(kind="dir", mode=0o755)}


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{", b'{"entries": 1}', b'{"entries": [{"name": "a", "type": "door", "mode": "0644"}]}',
        b'{"entries": [{"name": "..", "type": "dir", "mode": "0755"}]}',
        b'{"entries": [{"name": "a/b", "type": "fifo", "mode": "0755"}]}',
        b'{"entries": [{"name": ".git", "type": "dir", "mode": "0755"}]}',
        b'{"entries": [{"name": "a", "type": "dir", "mode": "rwx"}]}',
        b'{"entries": [{"name": {"b64": "!"}, "type": "dir", "mode": "0755"}]}',
        b'{"escaped": [{"path": "../x", "type": "dir", "mode": "0755"}]}',
        b'{"escaped": [{"path": "/etc/x", "type": "dir", "mode": "0755"}]}',
        b'{"escaped": [{"path": "a//b", "type": "dir", "mode": "0755"}]}',
        b'{"escaped": [{"path": ".git/./x", "type": "dir", "mode": "0755"}]}',
        b'{"escaped": [{"path": "a\\u0000b", "type": "dir", "mode": "0755"}]}',
    ],
)  # fmt: skip
def test_a_text_that_is_damaged_or_leads_out_of_its_folder_is_refused(text: bytes, repository: Repository) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_extra(text)
    with Pack(repository, "one") as pack:
        extra = pack.tree([(ENTRIES, FILE, pack.blob(text))])
        content = Content(files=pack.tree([]), extra=extra)
        pack.finish()
    with Reader(repository) as reader, pytest.raises(ObjectUnreadable):
        list_content(reader, content)


@pytest.mark.parametrize("name", [b".git", b"..", b".GIT", b"git~1"])
def test_a_strangers_tree_with_a_name_that_no_folder_holds_is_refused(
    plain: Plain, repository: Repository, name: bytes
) -> None:
    blob = plain(repository.top, "hash-object", "-w", "--stdin", stdin=b"x").strip()
    raw = b"100644 %b\0%b" % (name, bytes.fromhex(blob.decode()))
    oid = plain(repository.top, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=raw).strip()
    content = Content(files=bytes.fromhex(oid.decode()))
    with Reader(repository) as reader:
        with pytest.raises(ObjectUnreadable, match="not one of a folder's"):
            list_content(reader, content)
        with pytest.raises(ObjectUnreadable, match="not one of a folder's"):
            compare(reader, None, content)


def test_a_text_nested_too_deeply_is_refused_as_damaged(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        text = b'{"other": ' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}"
        content = Content(files=pack.tree([]), extra=pack.tree([(ENTRIES, FILE, pack.blob(text))]))
        pack.finish()
    with Reader(repository) as reader, pytest.raises(ObjectUnreadable):
        list_content(reader, content)


def test_an_escaped_path_without_its_blob_is_named(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        text = encode_extra([], [Escaped(path=b".git/config", type="file", mode=0o644, id="gone")])
        content = Content(files=pack.tree([]), extra=pack.tree([(ENTRIES, FILE, pack.blob(text))]))
        pack.finish()
    with Reader(repository) as reader, pytest.raises(ObjectUnreadable, match=r"\.git/config"):
        list_content(reader, content)


def test_a_tree_deeper_than_pythons_stack_is_listed_and_compared(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        oid = pack.tree([(b"f", FILE, pack.blob(b"x"))])
        for _ in range(3000):
            oid = pack.tree([(b"d", DIRECTORY, oid)])
        pack.finish()
    with Reader(repository) as reader:
        assert len(list_content(reader, Content(files=oid))) == 3001
        assert len(compare(reader, None, Content(files=oid))) == 3001


def test_a_workspace_in_a_folder_keeps_its_prefix_in_the_tree(plain: Plain, repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        entries = [(b"f", FILE, pack.blob(b"x"))]
        here = pack.tree(entries)
        nested = nest(pack, b"sub/dir", entries)
        top = nest(pack, b"", entries)
        pack.finish()
    assert top == here
    assert b"\tsub/dir/f\n" in plain(repository.top, "ls-tree", "-r", nested.hex())
    with Reader(repository) as reader:
        assert unnest(reader, nested, b"sub/dir") == here
        assert unnest(reader, nested, b"") == nested
        assert unnest(reader, nested, b"sub/other") is None
        assert unnest(reader, nested, b"sub/dir/f") is None
