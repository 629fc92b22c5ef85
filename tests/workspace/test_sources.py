"""Items from every kind of source: exact bytes, in order, and a clear error for what cannot be an item."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.listing import Item
from gitckpt.model.repeat import Foreach
from gitckpt.workspace.sources import (
    ItemTooLong,
    NoItems,
    NulInItem,
    SourceMissing,
    SourceUnreadable,
    longest_item,
    read_items,
)


def read(root: Path, source: Foreach, data: bytes = b"") -> list[Item]:
    """`data`: what the file `source` names holds."""
    name = source.lines or source.csv or source.json
    if name:
        (root / name).write_bytes(data)
    return list(read_items(root, source, None, None))


def values(root: Path, source: Foreach, data: bytes = b"") -> list[bytes]:
    return [item.value for item in read(root, source, data)]


LINES = Foreach(lines="rows")
CSV = Foreach(csv="rows")
JSON = Foreach(json="rows")


# --- lines, list, run, glob -------------------------------------------------------------------------------------


def test_a_line_is_an_item_byte_for_byte(tmp_path: Path) -> None:
    data = b"a\n\n b \r\n\xff\x85\x0c\n\n\nlast"
    assert values(tmp_path, LINES, data) == [b"a", b" b \r", b"\xff\x85\x0c", b"last"]


@given(st.lists(st.binary(min_size=1).filter(lambda line: not {b"\n", b"\0"} & {bytes([b]) for b in line})))
def test_every_line_that_is_not_empty_comes_back(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    root = tmp_path_factory.getbasetemp()
    source = Foreach(lines="any rows", allow_empty=True)
    assert read(root, source, b"\n".join(lines)) == [Item(line, line) for line in lines]


def test_a_list_gives_its_values(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    assert values(tmp_path, Foreach(values=("b", "", "ü", "a\nb", odd))) == [b"b", b"", "ü".encode(), b"a\nb", b"\xff"]


def test_what_a_command_printed_is_read_as_lines(tmp_path: Path) -> None:
    (tmp_path / "printed").write_bytes(b"x y\n\nz\n")
    items = read_items(tmp_path / "nowhere", Foreach(run="./list.sh"), tmp_path / "printed", None)
    assert list(items) == [Item(b"x y", b"x y"), Item(b"z", b"z")]


def test_a_glob_is_in_order_of_bytes_and_may_name_folders(tmp_path: Path) -> None:
    for name in ("b", "a-b/x", "a/x", "Z", "ü"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert values(tmp_path, Foreach(glob=("*",))) == [b"Z", b"a", b"a-b", b"b", "ü".encode()]
    assert values(tmp_path, Foreach(glob=("**/x", "b"))) == [b"a-b/x", b"a/x", b"b"]
    assert sorted(values(tmp_path, Foreach(glob=("*",), sort="none"))) == [b"Z", b"a", b"a-b", b"b", "ü".encode()]


# --- order and limit --------------------------------------------------------------------------------------------


def test_items_come_as_they_are_unless_an_order_is_asked_for(tmp_path: Path) -> None:
    data = b"f10\nf9\nF1\nf09\nf\n"
    assert values(tmp_path, LINES, data) == [b"f10", b"f9", b"F1", b"f09", b"f"]
    assert values(tmp_path, Foreach(lines="rows", sort="name"), data) == [b"F1", b"f", b"f09", b"f10", b"f9"]
    assert values(tmp_path, Foreach(lines="rows", sort="natural"), data) == [b"F1", b"f", b"f09", b"f9", b"f10"]


@given(st.lists(st.lists(st.integers(0, 12) | st.integers(0, 10**30), min_size=1, max_size=4), max_size=9))
def test_natural_order_compares_numbers_as_numbers(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[list[int]]
) -> None:
    texts = {"".join(f"part {number}" for number in row): row for row in numbers}
    source = Foreach(values=tuple(texts), sort="natural", allow_empty=True)
    found = [value.decode() for value in values(tmp_path_factory.getbasetemp(), source)]
    assert found == sorted(texts, key=lambda text: texts[text])


def test_a_number_of_ten_thousand_digits_can_be_sorted(tmp_path: Path) -> None:
    huge = "9" * 10_000
    assert values(tmp_path, Foreach(values=(huge, "8" * 10_000, "7"), sort="natural"))[-1] == huge.encode()


def test_more_items_than_are_sorted_at_once_are_in_one_order(tmp_path: Path) -> None:
    numbers = [n * 7919 % 200_003 for n in range(200_003)]
    items = read(tmp_path, Foreach(lines="rows", sort="natural"), b"".join(b"n%d\n" % n for n in numbers))
    assert [item.value for item in items] == [b"n%d" % n for n in range(200_003)]


def test_an_order_goes_by_the_key_where_there_is_one(tmp_path: Path) -> None:
    source = Foreach(csv="rows", key="id", sort="natural")
    assert [item.key for item in read(tmp_path, source, b"name,id\na,10\nb,9\n")] == [b"9", b"10"]


def test_the_limit_takes_the_first_in_order_and_reads_no_further(tmp_path: Path) -> None:
    assert values(tmp_path, Foreach(lines="rows", limit=2, sort="name"), b"c\nb\na\n") == [b"a", b"b"]
    assert values(tmp_path, Foreach(lines="rows", limit=2), b"c\nb\n\0\n") == [b"c", b"b"]
    assert values(tmp_path, Foreach(lines="rows", limit=9), b"c\nb\n") == [b"c", b"b"]


# --- csv --------------------------------------------------------------------------------------------------------


def test_a_row_of_csv_is_an_object_in_the_order_of_the_columns(tmp_path: Path) -> None:
    data = '\ufeffz,a,"b ""q"""\r\n1,"x,y",\r\n\r\n"two\nlines",ü,0.10\r\n'.encode()
    items = read(tmp_path, Foreach(csv="rows", key="z"), data)
    assert [item.value.decode() for item in items] == [
        '{"z":"1","a":"x,y","b \\"q\\"":""}',
        '{"z":"two\\nlines","a":"ü","b \\"q\\"":"0.10"}',
    ]
    assert [item.key for item in items] == [b"1", b"two\nlines"]


def test_a_row_of_csv_without_a_key_is_its_own_key(tmp_path: Path) -> None:
    assert read(tmp_path, CSV, b"a\n1\n") == [Item(b'{"a":"1"}', b'{"a":"1"}')]


@pytest.mark.parametrize(
    ("data", "key", "line", "why"),
    [
        (b"", None, 1, "there is no header row"),
        (b"\n\n", None, 1, "there is no header row"),
        (b"a,b\n1,2\n", "id", 1, "the header has no column 'id', only: a, b"),
        (b"a,b\n1,2\n3\n", None, 3, "the row has 1 column, the header has 2"),
        (b'a,b\n"x\ny",2\n1,2,3\n', None, 4, "the row has 3 columns, the header has 2"),
        (b"a,a\n1,2\n", None, 1, "two columns of the header have the same name"),
        (b'a,b\n1,2\n"3,4\n5,6\n', None, 3, "it is no CSV: unexpected end of data"),
        (b'a,b\n1,"2"x\n', None, 2, "it is no CSV: "),
        (b"a,b\n1,2\n1,\xff\n", None, 3, "not Unicode"),
        (b"a,\xff\n", None, 1, "not Unicode"),
        (b"a\n" + b"x" * 200_000 + b"\n", None, 2, "field larger than field limit"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, data: bytes, key: str | None, line: int, why: str) -> None:
    with pytest.raises(SourceUnreadable) as raised:
        read(tmp_path, Foreach(csv="rows", key=key), data)
    assert (raised.value.path, raised.value.line) == ("rows", line)
    assert why in raised.value.message
    assert raised.value.message.startswith(f"rows, line {line}: ")


# --- json -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b'["a\\n", {"b": 1, "a": [0.10, null]}, 12345678901234567890.50, true, [1, 2]]',
        b'\xef\xbb\xbf\n[\n "a\\n",\n {"b": 1,\n "a": [0.10, null]}\n,12345678901234567890.50, true, [1, 2]\n]\n',
        b'"a\\n"\n\n{"b": 1, "a": [0.10, null]}\r\n 12345678901234567890.50 \ntrue\n[1, 2]',
        b'\xef\xbb\xbf"a\\n"\n{"b":1,"a":[0.10,null]}\n12345678901234567890.50\ntrue\n[1,2]\n',
    ],
    ids=["one line", "a list over lines", "values in lines", "lines with a mark"],
)
def test_a_list_and_lines_of_json_give_the_same_items_exactly(tmp_path: Path, data: bytes) -> None:
    expected = [b"a\n", b'{"b":1,"a":[0.10,null]}', b"12345678901234567890.50", b"true", b"[1,2]"]
    assert values(tmp_path, JSON, data) == expected


def test_a_list_in_each_of_several_lines_is_an_item_each(tmp_path: Path) -> None:
    assert values(tmp_path, JSON, b"[1]\n[2, 3]\n") == [b"[1]", b"[2,3]"]
    assert values(tmp_path, JSON, b"[1, 2]\n\n") == [b"1", b"2"]


def test_the_key_of_an_object_is_a_text_or_a_number_of_it(tmp_path: Path) -> None:
    source = Foreach(json="rows", key="id")
    items = read(tmp_path, source, '[{"id": "ü"}, {"x": 1, "id": 07e1}]'.replace("07", "7").encode())
    assert items == [Item('{"id":"ü"}'.encode(), "ü".encode()), Item(b'{"x":1,"id":7e1}', b"7e1")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=6), st.sampled_from([None, 1]))
def test_any_json_list_gives_its_members(
    tmp_path_factory: pytest.TempPathFactory, members: list[object], indent: int | None
) -> None:
    root = tmp_path_factory.getbasetemp()
    found = values(root, Foreach(json="any json", allow_empty=True), json.dumps(members, indent=indent).encode())
    compact = [json.dumps(member, ensure_ascii=False, separators=(",", ":")) for member in members]
    assert found == [
        (member if isinstance(member, str) else text).encode() for member, text in zip(members, compact, strict=True)
    ]


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b'"a"\n{"b":\n', 2, "it is no JSON"),
        (b'{\n "a": 1\n}\n', 1, "it is no JSON"),
        (b'"a" "b"\n', 1, "more than one JSON value stands in the line"),
        (b"[\n1,\n2\n3]", 3, "neither a comma nor `]` follows"),
        (b"[1, 2\n", 1, "neither a comma nor `]` follows"),
        (b"[1,\n2,\n]", 3, "it is no JSON"),
        (b"[1, {\n\n2}]", 3, "it is no JSON"),
        (b"[1, 2]]", 1, "something follows the end of the list"),
        (b"[1]\nx", 2, "it is no JSON"),
        (b"[", 1, "it is no JSON"),
        (b"1\nNaN\n", 2, "NaN is no JSON number"),
        (b'1\n{"a": 1, "a": 2}', 2, "a member stands twice"),
        (b'1\n"\\ud800"', 2, "not Unicode"),
        (b'1\n{"a": "\\ud800"}', 2, "not Unicode"),
        (b'1\n"\xff"', 2, "it is not UTF-8"),
        (b'[1,\n\n"\xff"]', 3, "it is not UTF-8"),
        (b"[" * 200_000, 1, "nested too deep"),
        (b'1\n{"a":' + b"[" * 200_000, 2, "nested too deep"),
    ],
)
def test_bad_json_is_named_by_its_line(tmp_path: Path, data: bytes, line: int, why: str) -> None:
    with pytest.raises(SourceUnreadable) as raised:
        read(tmp_path, JSON, data)
    assert raised.value.line == line
    assert why in raised.value.message


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"id": 1}\n"a"\n', "the value is no object, so it has no member 'id'"),
        (b'{"id": 1}\n{"di": 1}\n', "the object has no member 'id'"),
        (b'{"id": 1}\n{"id": null}\n', "the member 'id' is neither a text nor a number"),
        (b'{"id": 1}\n{"id": [1]}\n', "the member 'id' is neither a text nor a number"),
    ],
)
def test_a_value_without_its_key_is_named_by_its_line(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(SourceUnreadable) as raised:
        read(tmp_path, Foreach(json="rows", key="id"), data)
    assert raised.value.message == f"rows, line 2: {why}"


# --- what no source may be --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "data", "line"),
    [
        (LINES, b"a\nb\0c\n", 2),
        (Foreach(values=("a", "\0")), b"", 2),
        (JSON, b'"a"\n"b\\u0000"\n', 2),
        (Foreach(json="rows", key="id"), b'[{"id": "a"},\n{"id": "\\u0000"}]', 2),
        (Foreach(csv="rows", key="id"), b"id\na\n\0\n", 3),
    ],
)
def test_a_nul_is_named_by_its_line(tmp_path: Path, source: Foreach, data: bytes, line: int) -> None:
    with pytest.raises(NulInItem) as raised:
        read(tmp_path, source, data)
    assert raised.value.line == line


def test_a_nul_within_an_object_is_text_like_any_other(tmp_path: Path) -> None:
    assert values(tmp_path, JSON, b'{"a": "\\u0000"}') == [b'{"a":"\\u0000"}']


def test_an_item_over_the_limit_is_named_where_there_is_one(tmp_path: Path) -> None:
    data = b"a" * 10 + b"\n" + b"b" * 11 + b"\n"
    assert len(values(tmp_path, LINES, data)) == 2
    with pytest.raises(ItemTooLong) as raised:
        list(read_items(tmp_path, LINES, None, 10))
    assert (raised.value.where, raised.value.line, raised.value.size, raised.value.limit) == ("rows", 2, 11, 10)


@pytest.mark.parametrize("name", ["ITEM", "A", "A_LONG_NAME_OF_A_VARIABLE"])
def test_the_longest_item_is_what_the_system_takes_and_not_a_byte_less(name: str) -> None:
    limit = longest_item("A", name)
    subprocess.run(["/bin/true"], env={name: "x" * limit}, check=True)
    if os.uname().sysname == "Linux" and os.sysconf("SC_PAGE_SIZE") == 4096:
        with pytest.raises(OSError, match="Argument list too long"):
            subprocess.run(["/bin/true"], env={name: "x" * (limit + 1)}, check=True)


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (LINES, b""),
        (LINES, b"\n\n"),
        (CSV, b"a,b\n"),
        (JSON, b""),
        (JSON, b" \n"),
        (JSON, b"[ ]"),
        (Foreach(values=()), b""),
        (Foreach(glob=("raw/*.csv",)), b""),
    ],
)
def test_a_source_without_items_is_an_error_unless_it_may_be_empty(
    tmp_path: Path, source: Foreach, data: bytes
) -> None:
    with pytest.raises(NoItems) as raised:
        read(tmp_path, source, data)
    assert "allow_empty: true" in raised.value.hint
    assert read(tmp_path, replace(source, allow_empty=True), data) == []


def test_a_glob_that_matches_nothing_names_its_pattern(tmp_path: Path) -> None:
    with pytest.raises(NoItems, match=r"raw/\*\.csv"):
        read(tmp_path, Foreach(glob=("raw/*.csv",)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("gone")
    for path in ("no/such", "file/below", "dangling"):
        for source in (Foreach(lines=path), Foreach(csv=path), Foreach(json=path)):
            with pytest.raises(SourceMissing) as raised:
                list(read_items(tmp_path, source, None, None))
            assert raised.value.path == path


def test_a_link_is_followed_within_the_workspace_and_never_out_of_it(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    (root / "in").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "workspace too").write_text("secret\n")
    (tmp_path / "out" / "rows").write_text("secret\n")
    (root / "in" / "rows").write_text("fine\n")
    (root / "near").symlink_to("in/rows")
    (root / "far").symlink_to("../out/rows")
    (root / "beside").symlink_to("../workspace too")
    (root / "folder").symlink_to("../out")
    (tmp_path / "alias").symlink_to("workspace")
    assert [item.value for item in read_items(tmp_path / "alias", Foreach(lines="near"), None, None)] == [b"fine"]
    for path in ("far", "beside", "folder/rows", "../out/rows"):
        with pytest.raises(SourceUnreadable, match="leads out of the workspace"):
            list(read_items(root, Foreach(lines=path), None, None))


def test_what_is_no_file_is_an_error_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for path in ("fifo", "folder", "."):
        with pytest.raises(SourceUnreadable):
            list(read_items(tmp_path, Foreach(lines=path), None, None))


def test_every_error_says_what_to_do_next_and_ends_with_1(tmp_path: Path) -> None:
    errors: list[GitckptError] = [
        SourceMissing("p\x1b"),
        SourceUnreadable("p\x1b", 3, "w\x1b"),
        NulInItem("p\x1b", None),
        ItemTooLong("p\x1b", 1, 2, 1),
        NoItems("p\x1b"),
    ]
    for error in errors:
        assert "\x1b" not in error.message
        assert error.hint
        assert error.exit_code is ExitCode.FAILED
