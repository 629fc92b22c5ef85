"""Joining two contents made from a third: what is clean, what clashes, and what each rule makes of a clash."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitckpt.plumbing.content import USUAL, Content, Item, compare, defaults_under, list_content, not_kept
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.graft import build, folders_above
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.plumbing.three_way import LARGEST_TEXT, Clash, ClashKind, Merged, Rule, merge
from tests.plumbing.test_content import CountingReader, trees

One = str | tuple[str, str | int] | int
"""A file's text, alone or with its mode; a link, `("->", target)`; a FIFO, `("|", mode)`; a folder's mode."""
Spec = dict[str, One]
Test = Callable[..., None]


class Bench:
    """Contents as dictionaries, all in one pack that is never finished."""

    def __init__(self, repository: Repository, reader: Reader, pack: Pack) -> None:
        self.repository = repository
        self.reader = reader
        self.pack = pack
        self.fresh = Fresh(reader, pack)

    def item(self, one: One) -> Item:
        match one:
            case int():
                return Item(kind="dir", mode=one)
            case ("->", target):
                return Item(kind="link", mode=0, oid=self.pack.blob(str(target).encode()))
            case ("|", int(mode)):
                return Item(kind="fifo", mode=mode)
            case (text, mode):
                return Item(kind="file", mode=int(mode), oid=self.pack.blob(text.encode("latin-1")))
            case text:
                return Item(kind="file", mode=0o644, oid=self.pack.blob(text.encode("latin-1")))

    def items(self, spec: Spec) -> dict[bytes, Item]:
        named = {path.encode("latin-1"): self.item(one) for path, one in spec.items()}
        above = {above: Item(kind="dir", mode=0o755) for path in named for above in folders_above(path)}
        return above | named

    def content(self, spec: Spec) -> Content:
        return build(self.pack, self.items(spec), USUAL)

    def merge(self, base: Spec, ours: Spec, theirs: Spec, rule: Rule = "fail") -> Merged:
        return self.merged(self.content(base), self.content(ours), self.content(theirs), lambda _: rule)

    def merged(self, base: Content, ours: Content, theirs: Content, rule_of: Callable[[bytes], Rule]) -> Merged:
        return merge(self.repository, self.reader, self.pack, base=base, ours=ours, theirs=theirs, rule_of=rule_of)

    def is_(self, merged: Merged, wanted: Spec) -> None:
        """The merge is clean and gives `wanted`, folders that are not named with the default mode."""
        assert merged.clashes == ()
        assert merged.content is not None
        assert list_content(self.fresh, merged.content) == self.items(wanted)
        assert merged.content == self.content(wanted)


@pytest.fixture
def bench(repository: Repository) -> Iterator[Bench]:
    with Reader(repository) as reader, Pack(repository, "bench") as pack:
        yield Bench(repository, reader, pack)


BASE: Spec = {
    "a": "a\n",
    "d/x": "x\n",
    "d/y": "y\n",
    "e": 0o700,
    "l": ("->", "a"),
    "p": ("|", 0o600),
    "n/.git/HEAD": "main\n",
}


def but(more: Spec, *gone: str) -> Spec:
    """BASE without some paths and what is below them, but with the folders that held them; then with more."""
    below = tuple(path + "/" for path in gone)
    held: Spec = {path.rpartition("/")[0]: 0o755 for path in gone if "/" in path}
    return held | {path: one for path, one in BASE.items() if not (path + "/").startswith(below)} | more


# --- clean --------------------------------------------------------------------------------------------------

AX: Spec = {"a": ("A\n", 0o700), "d/z": ""}
REPLACED = but({"d": "file"}, "d")
CLEAN: list[tuple[str, Spec, Spec, Spec]] = [
    ("other paths", but({"a": "A"}), but({"b": ""}), but({"a": "A", "b": ""})),
    ("the same change", but({"a": "A"}), but({"a": "A", "b": ""}), but({"a": "A", "b": ""})),
    ("the same mode, a same new file", but(AX), but({**AX, "b": ""}), but({**AX, "b": ""})),
    ("the same folder", but({"f": 0o700}), but({"f": 0o700, "b": ""}), but({"f": 0o700, "b": ""})),
    ("one folder, filled by both", but({"f/a": ""}), but({"f/b": ""}), but({"f/a": "", "f/b": ""})),
    ("removed by both", but({}, "a"), but({}, "a", "l"), but({}, "a", "l")),
    ("a folder removed by ours", but({}, "d"), but({"b": ""}), but({"b": ""}, "d")),
    ("a folder removed by theirs", but({"b": ""}), but({}, "d"), but({"b": ""}, "d")),
    ("a folder emptied by both", but({}, "d/x"), but({}, "d/y"), but({}, "d/x", "d/y")),
    ("emptied by one, removed by the other", but({}, "d/x"), but({}, "d"), but({}, "d")),
    ("a file for a folder that theirs empties", REPLACED, but({}, "d/x"), REPLACED),
    ("a file for a folder that ours empties", but({}, "d/x"), REPLACED, REPLACED),
    ("made in a folder that ours removed", but({}, "e"), but({"e/new": ""}), but({"e/new": ""})),
    ("made in a folder that theirs removed", but({"e/new": ""}), but({}, "e"), but({"e/new": ""})),
    ("made deep where theirs removed", but({"d/s/new": ""}), but({}, "d"), but({"d/s/new": ""}, "d")),
    ("made deep where ours removed", but({}, "d"), but({"d/s/new": ""}), but({"d/s/new": ""}, "d")),
    ("a folder's mode and what is in it", but({"e": 0o750}), but({"e/f": ""}), but({"e": 0o750, "e/f": ""})),
    (
        "a link and a FIFO",
        but({"l": ("->", "b")}),
        but({"p": ("|", 0o644)}),
        but({"l": ("->", "b"), "p": ("|", 0o644)}),
    ),
    ("in a nested repository", but({"n/.git/a": "x"}), but({}, "n/.git/HEAD"), but({"n/.git/a": "x"}, "n/.git/HEAD")),
    ("a nested repository goes", but({"b": ""}), but({}, "n"), but({"b": ""}, "n")),
    (
        "odd names",
        but({"\xff\n": "1"}),
        but({" -\t": "2", "d/a.d": "3"}),
        but({"\xff\n": "1", " -\t": "2", "d/a.d": "3"}),
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "wanted"), [pytest.param(*sides, id=name) for name, *sides in CLEAN])
def test_what_only_one_side_changed_is_joined(bench: Bench, ours: Spec, theirs: Spec, wanted: Spec) -> None:
    merged = bench.merge(BASE, ours, theirs)
    bench.is_(merged, wanted)
    assert merged.settled == ()


@pytest.mark.parametrize("rule", ["fail", "ours", "theirs", "union", "text"])
def test_a_side_that_changed_nothing_leaves_the_other_as_it_is(bench: Bench, rule: Rule) -> None:
    base = bench.content(BASE)
    socket = build(bench.pack, bench.items({**BASE, "a": "A"}), defaults_under(0o077), {b"s": "socket"})
    for ours, theirs in ((base, socket), (socket, base), (socket, socket)):
        assert bench.merged(base, ours, theirs, lambda _: rule) == Merged(content=socket)


def test_sockets_are_named_as_in_ours(bench: Bench) -> None:
    base = bench.content({"a": "a"})
    ours = build(bench.pack, bench.items({"a": "b"}), USUAL, {b"mine": "socket"})
    theirs = build(bench.pack, bench.items({"a": "a", "b": ""}), USUAL, {b"yours": "socket"})
    content = bench.merged(base, ours, theirs, lambda _: "fail").content
    assert content is not None
    assert not_kept(bench.fresh, content) == {b"mine": "socket"}


# --- clashes ------------------------------------------------------------------------------------------------

CLASHES: list[tuple[str, Spec, Spec, str, ClashKind]] = [
    ("two contents", but({"a": "1"}), but({"a": "2"}), "a", "content"),
    ("two new files", but({"b": "1"}), but({"b": "2"}), "b", "content"),
    ("two targets", but({"l": ("->", "1")}), but({"l": ("->", "2")}), "l", "content"),
    ("a content and a mode", but({"a": "1"}), but({"a": ("a\n", 0o755)}), "a", "content"),
    ("a nested repository's file", but({"n/.git/HEAD": "1"}), but({"n/.git/HEAD": "2"}), "n/.git/HEAD", "content"),
    ("an odd name", but({"d/\xff\n": "1"}), but({"d/\xff\n": "2"}), "d/\xff\n", "content"),
    ("two modes", but({"a": ("a\n", 0o600)}), but({"a": ("a\n", 0o755)}), "a", "mode"),
    ("two modes of a folder", but({"e": 0o750}), but({"e": 0o755}), "e", "mode"),
    ("a new folder's modes", but({"f": 0o700, "f/a": ""}), but({"f": 0o755, "f/b": ""}), "f", "mode"),
    ("two modes of a FIFO", but({"p": ("|", 0o644)}), but({"p": ("|", 0o666)}), "p", "mode"),
    ("removed and changed", but({}, "a"), but({"a": "1"}), "a", "deleted"),
    ("its folder removed and it changed", but({}, "d"), but({"d/x": "1"}), "d/x", "deleted"),
    ("a folder removed and its mode changed", but({}, "e"), but({"e": 0o750}), "e", "deleted"),
    ("a folder removed and replaced", but({}, "d"), but({"d": "1"}, "d"), "d", "deleted"),
    ("a file and a link", but({"a": "1"}), but({"a": ("->", "d")}), "a", "kind"),
    ("a new file and a new FIFO", but({"b": "1"}), but({"b": ("|", 0o600)}), "b", "kind"),
    ("a new file and a new folder", but({"b": "1"}), but({"b": 0o755}), "b", "kind"),
    ("a new file and a full folder", but({"b": "1"}), but({"b/c/d": "1"}), "b", "kind"),
    ("a folder replaced and filled", but({"d": "1"}, "d"), but({"d/s/new": ""}), "d", "kind"),
    ("a folder replaced and changed in", but({"d": "1"}, "d"), but({"d/x": "1"}), "d", "kind"),
    ("a folder replaced and its mode changed", but({"d": "1"}, "d"), but({"d": 0o700}), "d", "kind"),
    ("a file changed and made a folder", but({"a": "1"}), but({"a/b": ""}, "a"), "a", "kind"),
    ("a nested repository replaced", but({"n": "1"}, "n"), but({"n/.git/HEAD": "2"}), "n", "kind"),
]


def clashes(test: Test) -> Test:
    """Run a test with every clash, and with its sides exchanged."""
    both = [
        pytest.param(*sides, path, kind, id=f"{name}{how}")
        for name, ours, theirs, path, kind in CLASHES
        for how, sides in (("", (ours, theirs)), (", exchanged", (theirs, ours)))
    ]
    given_all: Callable[[Test], Test] = pytest.mark.parametrize(("ours", "theirs", "path", "kind"), both)
    return given_all(test)


@clashes
def test_what_both_changed_differently_is_a_clash_and_gives_no_content(
    bench: Bench, ours: Spec, theirs: Spec, path: str, kind: ClashKind
) -> None:
    merged = bench.merge(BASE, {**ours, "mine": ""}, {**theirs, "yours": ""})
    assert merged == Merged(content=None, clashes=(Clash(path.encode("latin-1"), kind),))


@clashes
def test_a_rule_takes_the_path_from_the_side_that_it_names(
    bench: Bench, ours: Spec, theirs: Spec, path: str, kind: ClashKind
) -> None:
    name = path.encode("latin-1")
    rules: tuple[tuple[Rule, Spec], ...] = (("ours", ours), ("theirs", theirs))
    for rule, side in rules:
        merged = bench.merge(BASE, {**ours, "mine": ""}, {**theirs, "yours": ""}, rule)
        assert merged.settled == (name,), kind
        assert merged.content is not None
        found = list_content(bench.fresh, merged.content)
        wanted = bench.items(side)
        at = {each for each in found.keys() | wanted.keys() if each == name or each.startswith(name + b"/")}
        if kind == "mode" and found[name].kind == "dir":  # what is in the folder did not clash
            at = {name}
        assert {each: found.get(each) for each in at} == {each: wanted.get(each) for each in at}
        assert {b"mine", b"yours"} <= found.keys()


@clashes
def test_what_is_no_text_clashes_under_the_rules_for_text_as_well(
    bench: Bench, ours: Spec, theirs: Spec, path: str, kind: ClashKind
) -> None:
    for rule in ("union", "text"):
        merged = bench.merge(BASE, ours, theirs, rule)
        texts = kind == "content" and path != "l"
        if texts and (rule == "union" or (path == "a" and ("a\n", 0o755) in (ours["a"], theirs["a"]))):
            assert merged.settled == (path.encode("latin-1"),)
        else:
            assert merged.clashes == (Clash(path.encode("latin-1"), kind),)


def test_each_path_has_a_rule_of_its_own_and_all_clashes_are_named_in_order(bench: Bench) -> None:
    rules: dict[bytes, Rule] = {b"a": "ours", b"b": "theirs", b"c": "union", b"d/x": "text"}
    base: Spec = dict.fromkeys(("a", "b", "c", "d/x", "y", "z"), "1\n2\n3\n")
    ours: Spec = dict.fromkeys(base, "mine\n2\n3\n")
    theirs: Spec = dict.fromkeys(base, "1\n2\nyours\n")
    one, two, three = (bench.content(spec) for spec in (base, ours, theirs))
    merged = bench.merged(one, two, three, lambda path: rules.get(path, "fail"))
    assert merged.clashes == (Clash(b"y", "content"), Clash(b"z", "content"))
    assert merged.settled == (b"a", b"b", b"c", b"d/x")
    merged = bench.merged(one, two, three, lambda path: rules.get(path, "ours"))
    both = "mine\n2\nyours\n"
    bench.is_(merged, {**ours, "b": "1\n2\nyours\n", "c": both, "d/x": both})


# --- texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "union", "text"),
    [
        pytest.param("1\n2\n3\n", "1a\n2\n3\n", "1\n2\n3b\n", "1a\n2\n3b\n", "1a\n2\n3b\n", id="apart"),
        pytest.param("1\n", "1\na\n", "1\nb\n", "1\na\nb\n", None, id="both at the end"),
        pytest.param("1\n", "2\n", "3\n", "2\n3\n", None, id="one line"),
        pytest.param(None, "a\n", "b\n", "a\nb\n", None, id="both new"),
        pytest.param(None, "a", "b", "a\nb", None, id="without a last newline"),
        pytest.param("x\r\ny\r\n", "1\r\ny\r\n", "2\r\ny\r\n", "1\r\n2\r\ny\r\n", None, id="with carriage returns"),
        pytest.param(("->", "t"), "a\n", "b\n", "a\nb\n", None, id="a link before"),
        pytest.param("1\0", "2\0", "3", None, None, id="a binary one"),
        pytest.param("1", "2", "3" + "x" * LARGEST_TEXT, None, None, id="one too large"),
    ],
)
def test_texts_are_joined_by_line(
    bench: Bench, base: One | None, ours: str, theirs: str, union: str | None, text: str | None
) -> None:
    before: Spec = {} if base is None else {"f": base}
    wishes: tuple[tuple[Rule, str | None], ...] = (("union", union), ("text", text))
    for rule, wanted in wishes:
        merged = bench.merge(before, {"f": ours}, {"f": theirs}, rule)
        if wanted is None:
            assert merged.clashes == (Clash(b"f", "content"),)
        else:
            bench.is_(merged, {"f": wanted})
            assert merged.settled == (b"f",)


@pytest.mark.parametrize("rule", ["union", "text"])
@pytest.mark.parametrize(
    ("base", "ours", "theirs", "wanted"),
    [
        pytest.param(0o644, 0o755, 0o644, 0o755, id="ours"),
        pytest.param(0o644, 0o644, 0o600, 0o600, id="theirs"),
        pytest.param(0o644, 0o700, 0o700, 0o700, id="both the same"),
        pytest.param(0o644, 0o700, 0o600, None, id="both differently"),
    ],
)
def test_a_joined_text_has_the_mode_of_the_side_that_changed_it(
    bench: Bench, base: int, ours: int, theirs: int, wanted: int | None, rule: Rule
) -> None:
    merged = bench.merge({"f": ("1\n2\n3\n", base)}, {"f": ("0\n2\n3\n", ours)}, {"f": ("1\n2\n4\n", theirs)}, rule)
    if wanted is None:
        assert merged.clashes == (Clash(b"f", "mode"),)
    else:
        bench.is_(merged, {"f": ("0\n2\n4\n", wanted)})


def test_a_mode_and_a_content_are_joined_where_texts_are(bench: Bench) -> None:
    merged = bench.merge({"f": "\0 binary"}, {"f": ("\0 binary", 0o755)}, {"f": "\0 other"}, "text")
    bench.is_(merged, {"f": ("\0 other", 0o755)})
    assert merged.settled == (b"f",)


# --- any two sides ------------------------------------------------------------------------------------------


RULES: dict[Rule, Callable[[bytes], Rule]] = {
    "fail": lambda _: "fail",
    "ours": lambda _: "ours",
    "theirs": lambda _: "theirs",
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_two_sides_join_to_what_each_changed_or_clash(repository: Repository, data: st.DataObject) -> None:
    """By the dictionaries alone: every path is as on the side that changed it, or there for what lies below it."""
    one, two, three = (data.draw(trees(len(repository.null))) for _ in range(3))
    with Reader(repository) as reader, Pack(repository, "any") as pack:
        fresh = Fresh(reader, pack)
        base, ours, theirs = (build(pack, items, USUAL) for items in (one, two, three))
        for rule in RULES:
            merged = merge(repository, reader, pack, base=base, ours=ours, theirs=theirs, rule_of=RULES[rule])
            both = {
                path
                for path in one.keys() | two.keys() | three.keys()
                if len({one.get(path), two.get(path), three.get(path)}) == 3
            }
            decided = [clash.path for clash in merged.clashes] or merged.settled
            under = {path for path in both if not {path, *folders_above(path)}.isdisjoint(decided)}
            assert under == both
            if merged.content is None:
                assert rule == "fail"
                assert merged.clashes
                continue
            found = list_content(fresh, merged.content)
            assert merged.content == build(pack, found, USUAL)
            for path in one.keys() | two.keys() | three.keys():
                if {path, *folders_above(path)}.isdisjoint(decided):
                    side = three if two.get(path) == one.get(path) else two
                    filled = any(other.startswith(path + b"/") for other in found)
                    assert found.get(path) == side.get(path) or (side.get(path) is None and filled)


# --- what it costs ------------------------------------------------------------------------------------------


def test_only_what_either_side_changed_is_read(repository: Repository) -> None:
    spec: Spec = {f"d{at}/f{at}": f"{at}" for at in range(200)}
    with Reader(repository) as reader, Pack(repository, "stored") as pack:
        bench = Bench(repository, reader, pack)
        base, ours, theirs = (bench.content({**spec, **more}) for more in ({}, {"d7/f7": "x"}, {"d8/f8": "y"}))
        pack.finish()
    with CountingReader(repository) as reader, Pack(repository, "merged") as pack:
        reader.asked = []
        content = merge(repository, reader, pack, base=base, ours=ours, theirs=theirs, rule_of=lambda _: "fail").content
        assert len(set(reader.asked)) <= 9
        assert len(pack) == 2
        assert [change.path for change in compare(Fresh(reader, pack), base, content)] == [b"d7/f7", b"d8/f8"]
