"""Output files: bounded, without secrets, and the line that tells most."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.execute.output import capped, cause, last_line, tail_lines
from tests.execute.bench import PACKAGE_ROOT


def written(folder: Path, data: bytes) -> Path:
    path = folder / "output"
    path.write_bytes(data)
    return path


def test_what_is_within_the_limit_comes_back_as_it_is(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4
    assert capped(written(tmp_path, data), 1024) == data


def test_what_is_cut_keeps_head_and_tail_and_says_how_much_is_gone(tmp_path: Path) -> None:
    data = b"head" + b"." * 12_345_678 + b"tail"
    kept = capped(written(tmp_path, data), 8)
    assert kept.decode() == "head\n[… 12,345,678 bytes cut here …]\ntail"


@pytest.mark.parametrize("limit", range(4, 24))
def test_no_part_of_a_secret_is_shown_wherever_the_cut_falls(tmp_path: Path, limit: int) -> None:
    data = b"0123SECRET456789" * 3
    kept = capped(written(tmp_path, data), limit, [b"SECRET"])
    assert not any(letter in kept.replace(b"bytes cut here", b"") for letter in b"SECRT")
    assert b"***" in kept or limit < 9


def test_secrets_that_overlap_are_hidden_together_and_an_empty_one_hides_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, b"x abcd y abc z")
    assert capped(path, secrets=[b"abc", b"bcd", b""]) == b"x *** y *** z"


@given(
    data=st.binary(max_size=60),
    limit=st.integers(2, 40),
    secrets=st.lists(st.binary(min_size=1, max_size=5), max_size=3),
)
def test_a_capped_output_is_what_hiding_first_and_cutting_then_would_leave(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, limit: int, secrets: list[bytes]
) -> None:
    hidden = bytearray(len(data))
    for secret in secrets:
        for at in range(len(data)):
            if data.startswith(secret, at):
                hidden[at : at + len(secret)] = b"\1" * len(secret)

    def shown(begin: int, end: int) -> bytes:
        out = bytearray()
        for at in range(begin, end):
            if not hidden[at]:
                out.append(data[at])
            elif at == begin or not hidden[at - 1] or starts(at):
                out += b"***"
        return bytes(out)

    def starts(at: int) -> bool:
        """Two hidden stretches may touch; the second begins where no secret spans both sides."""
        return not any(
            data.startswith(secret, begin) for secret in secrets for begin in range(max(0, at - len(secret) + 1), at)
        ) and any(data.startswith(secret, at) for secret in secrets)

    kept = capped(written(tmp_path_factory.mktemp("o"), data), limit, secrets)
    if len(data) <= limit:
        expected = shown(0, len(data))
    else:
        head, tail = limit - limit // 2, limit // 2
        mark = f"\n[… {len(data) - limit:,} bytes cut here …]\n".encode()
        expected = shown(0, head) + mark + shown(len(data) - tail, len(data))
    assert kept.replace(b"******", b"***") == expected.replace(b"******", b"***")


def test_a_hundred_megabytes_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "output"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    code = (
        f"import sys, resource; sys.path.insert(0, {str(PACKAGE_ROOT)!r})\n"
        "from pathlib import Path; from gitckpt.execute.output import capped, last_line\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"path = Path({str(path)!r}); kept = capped(path, secrets=[b'secret']); last_line(path)\n"
        "print(len(kept), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    length, grown = map(int, subprocess.check_output([sys.executable, "-c", code]).split())
    assert 1 << 20 < length < (1 << 20) + 100
    assert grown * (1 if sys.platform == "darwin" else 1024) < 12_000_000


def test_the_last_line_is_the_newest_state_of_a_progress_bar(tmp_path: Path) -> None:
    assert last_line(written(tmp_path, b"one\n10%\r20%\r30%\r")) == "30%"
    assert last_line(written(tmp_path, b"one\ntwo\n\n  \n")) == "two"
    assert last_line(written(tmp_path, b"")) == ""
    assert last_line(tmp_path / "absent") == ""


def test_the_last_line_shows_no_secret_no_colour_and_no_escape(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x1b[31mred hunter2\x1b[0m \x1b]52;c;AA\x07\xff\n")
    assert last_line(path, [b"hunter2"]) == r"red *** \e]52;c;AA\x07\xff"


def test_the_last_lines_are_safe_and_without_empty_ones_at_the_end() -> None:
    data = b"".join(b"line %d\r\n" % n for n in range(30)) + b"\x1b[2J\ttab\n\n\n"
    lines = tail_lines(data, 3)
    assert lines == ["line 28", "line 29", "\\e[2J\ttab"]
    assert tail_lines(b"") == []
    assert tail_lines(b"\n\n") == []
    assert len(tail_lines(data)) == 20


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["a", "psycopg.OperationalError: connection refused", "", "  "],
            "psycopg.OperationalError: connection refused",
        ),
        (["ValueError: bad row 7", "cleaning up", "bye"], "ValueError: bad row 7"),
        (["fatal: not a git repository", "12 passed, 0 errors"], "fatal: not a git repository"),
        (["./x.sh: line 3: foo: command not found"], "./x.sh: line 3: foo: command not found"),
        (["one", "two", ""], "two"),
        ([], ""),
        (["", " "], ""),
    ],
)
def test_the_cause_is_the_last_line_that_looks_like_an_error(lines: list[str], told: str) -> None:
    assert cause(lines) == told
