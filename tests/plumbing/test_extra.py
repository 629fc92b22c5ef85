"""The text of what a git tree cannot say: its exact form, and that it comes back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.plumbing.extra import (
    USUAL,
    Escaped,
    Extra,
    decode_extra,
    decode_header,
    encode_extra,
    encode_header,
    escaped_id,
)
from gitckpt.plumbing.objects import refusable


def test_the_text_is_as_the_format_says() -> None:
    text = encode_extra(
        [Extra(name=b"\xff", type="file", mode=0o600), Extra(name="é".encode(), type="dir", mode=0o1777)],
        [Escaped(path=b".git/x", type="link", mode=0, id="abc"), Escaped(path=b".git", type="dir", mode=0o755)],
    )
    assert text.endswith(b"}\n")
    assert b'\n "entries"' in text
    assert json.loads(text) == {
        "entries": [
            {"mode": "1777", "name": "é", "type": "dir"},
            {"mode": "0600", "name": {"b64": "/w=="}, "type": "file"},
        ],
        "escaped": [
            {"mode": "0755", "path": ".git", "type": "dir"},
            {"id": "abc", "mode": "0000", "path": ".git/x", "type": "link"},
        ],
    }
    header = encode_header(USUAL)
    assert json.loads(header) == {"schema": 1, "file": "0644", "exec": "0755", "dir": "0755"}
    assert decode_header(header) == USUAL
    with pytest.raises(ValueError, match="schema 2"):
        decode_header(header.replace(b"1", b"2"))
    assert len(escaped_id(b"a/.git")) == 52
    assert escaped_id(b"a/.git").isalnum()
    assert escaped_id(b"a/.git").islower()


NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not refusable(name))


BITS = st.integers(0, 0o1777)
SAID = st.builds(Extra, name=NAMES, type=st.sampled_from(["file", "dir", "fifo", "socket"]), mode=BITS)
AWAY = st.builds(
    Escaped,
    path=NAMES.map(lambda name: b".git/" + name),
    type=st.just("file"),
    mode=BITS,
    id=st.text("abc234", min_size=1),
)


@given(
    entries=st.lists(SAID, unique_by=lambda each: each.name),
    escaped=st.lists(AWAY, unique_by=lambda each: each.path),
)
def test_what_is_said_comes_back(entries: list[Extra], escaped: list[Escaped]) -> None:
    back = decode_extra(encode_extra(entries, escaped))
    assert back == (
        tuple(sorted(entries, key=lambda each: each.name)),
        tuple(sorted(escaped, key=lambda each: each.path)),
    )


def test_setuid_and_setgid_never_come_back() -> None:
    text = encode_extra([Extra(name=b"a", type="file", mode=0o755)]).replace(b"0755", b"6755")
    assert decode_extra(text)[0][0].mode == 0o755
