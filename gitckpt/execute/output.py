"""What a phase printed: kept within a limit, without its secrets, and the lines of it that a person needs.

Owns the reading of output files. It must not know phases or checkpoints. Memory stays within the limit, however
long the file is; texts that are returned are safe for a terminal, bytes are as they were printed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitckpt.model.text import safe, safe_lines

MEBIBYTE = 1 << 20
_TAIL = 4096
_HIDDEN = b"***"
_ERROR = re.compile(
    r"(?i:error|exception|fatal|failed|failure|denied|refused|not found|no such|cannot|can't|unable|invalid"
    r"|panic|abort|timed? ?out|killed|segmentation|undefined|missing|unexpected|critical)|^E\s"
)
_HARMLESS = re.compile(r"(?i)\b(?:0|no) (?:errors?|failures?|failed)\b")


def capped(path: Path, limit: int = MEBIBYTE, secrets: Sequence[bytes] = (), begin: int = 0) -> bytes:
    """The file's bytes from `begin` on, at most `limit`: head and tail, with a line between that says what is cut.

    Each value of `secrets` is replaced by `***`, also across the cut. Raises OSError.
    """
    with path.open("rb") as file:
        file.seek(begin)
        size = max(os.fstat(file.fileno()).st_size - begin, 0)
        if size <= limit:
            return hide(file.read(size), secrets)
        # A secret that begins before the cut is looked for beyond it, so that no half of one is shown.
        reach = max((len(secret) for secret in secrets), default=1) - 1
        head, tail = limit - limit // 2, limit // 2
        first = _masked(file.read(head + reach), secrets, 0, head)
        start = max(0, size - tail - reach)
        file.seek(begin + start)
        last = _masked(file.read(size - start), secrets, size - tail - start, size - start)
    return first + f"\n[… {size - head - tail:,} bytes cut here …]\n".encode() + last


def last_line(path: Path, secrets: Sequence[bytes] = ()) -> str:
    """The last line with something in it, safe and cheap: it reads 4 KiB. Empty where there is none, or no file.

    A progress bar that redraws itself with carriage returns gives its newest state.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _TAIL))
            data = file.read(_TAIL)
    except OSError:
        return ""
    for line in reversed(re.split(rb"[\r\n]+", hide(data, secrets))):
        if line.strip():
            return safe(_plain(line)).strip()
    return ""


def tail_lines(data: bytes, n: int = 20) -> list[str]:
    """The last `n` lines, safe, without the empty ones at the end."""
    return [shown(line) for line in data.rstrip().split(b"\n")[-n:]] if data.strip() else []


def shown(line: bytes) -> str:
    """One line, safe, as a terminal would leave it: of what redraws itself with carriage returns, the newest state."""
    return safe_lines(_plain(line).rstrip(b"\r").rpartition(b"\r")[2])


def cause(lines: Sequence[str]) -> str:
    """The line that tells most: the last that looks like an error, else the last with something in it."""
    told = [line.strip() for line in lines if line.strip()]
    for line in reversed(told):
        if _ERROR.search(line) and not _HARMLESS.search(line):
            return line
    return told[-1] if told else ""


_COLOUR = re.compile(rb"\x1b\[[0-9;:]*[mK]")


def _plain(data: bytes) -> bytes:
    """Colours carry no text; every other escape sequence stays, and is shown as what it is."""
    return _COLOUR.sub(b"", data)


def unfinished(data: bytes, secrets: Sequence[bytes]) -> int:
    """How many bytes at the end may be the beginning of a secret whose rest is still to come."""
    longest = 0
    for secret in secrets:
        for size in range(min(len(secret) - 1, len(data)), longest, -1):
            if data.endswith(secret[:size]):
                longest = size
                break
    return longest


def hide(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """The data with each run of secret bytes as `***`."""
    return _masked(data, secrets, 0, len(data))


def _masked(data: bytes, secrets: Sequence[bytes], begin: int, end: int) -> bytes:
    """`data[begin:end]` with each run of secret bytes as `***`; one that only reaches into it is hidden whole."""
    parts: list[bytes] = []
    at = begin
    for first, after in _runs(data, secrets):
        if after <= begin or first >= end:
            continue
        parts += [data[at : max(at, first)], _HIDDEN]
        at = after
    parts.append(data[at:end])
    return b"".join(parts)


def _runs(data: bytes, secrets: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """The stretches that any secret covers, in order; secrets that overlap give one stretch."""
    found: list[tuple[int, int]] = []
    for secret in secrets:
        at = data.find(secret) if secret else -1
        while at >= 0:
            found.append((at, at + len(secret)))
            at = data.find(secret, at + 1)
    if not found:
        return
    found.sort()
    first, after = found[0]
    for begin, end in found[1:]:
        if begin > after:
            yield first, after
            first = begin
        after = max(after, end) if begin <= after else end
    yield first, after
