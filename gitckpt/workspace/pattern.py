"""Which entries of the workspace a phase's `glob` patterns match, found in one walk; and the folders that patterns of
capture rules name above what they match.

Owns the meaning of a pattern and the walk. As in gitignore(5), `*` and `?` match no slash but do match a dot at the
start of a name, `[..]` is a set, `**` any number of folders, and a final slash says folders only; unlike there, each
pattern begins at the workspace's top. Must not know items or lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

NEVER = frozenset({b".git", b".gitckpt"})
"""Names that no pattern matches, at any depth, nor anything below them."""

_TOKEN = re.compile(
    r"\\(?P<escaped>.)|\[(?P<turned>[!^]?)(?P<set>\]?[^\]]+)\]|(?P<one>\?)|(?P<any>\*+)|(?P<plain>.)", re.S
)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One regular expression a segment; None stands for `**`, and is never the last."""

    segments: tuple[re.Pattern[str] | None, ...]
    folders_only: bool


_Places: TypeAlias = frozenset[tuple[int, int]]
"""How far into which patterns a folder's path has come: numbers of patterns and of their next segments."""


def matching(root: Path, patterns: Sequence[str]) -> Iterator[bytes]:
    """Paths below `root` that match any of `patterns`, each once, in no order; folders without a final slash.

    Links to folders are entries, never followed. A folder that vanishes meanwhile is empty. Raises OSError, with
    the folder as its `filename`.
    """
    compiled = [_compiled(pattern) for pattern in patterns]
    top = os.fsencode(root)
    waiting = [(b"", _closed(compiled, ((number, 0) for number in range(len(compiled)))))]
    while waiting:
        folder, places = waiting.pop()
        for name, is_folder in _entries(top, folder):
            path = folder + name
            matched, below = _step(compiled, places, name, folder=is_folder)
            if matched:
                yield path
            if is_folder and below:
                waiting.append((path + b"/", below))


class Ways:
    """The folders that gitignore-style patterns name above what they match: of `a/*/c` these are `a` and `a/*`."""

    def __init__(self, patterns: Iterable[str]) -> None:
        above = {way for pattern in patterns for way in _above(pattern)}
        self._patterns = [_compiled(way) for way in sorted(above)]
        self._top = _closed(self._patterns, ((number, 0) for number in range(len(self._patterns))))

    def lead_through(self, path: bytes) -> bool:
        """Whether the folder `path`, seen from the workspace's top, is one of them."""
        places, matched = self._top, False
        for name in path.split(b"/"):
            matched, places = _step(self._patterns, places, name, folder=True)
        return matched


def _above(pattern: str) -> Iterator[str]:
    """Patterns of the folders above what `pattern` matches, from the first one with a name; none of a negated one."""
    if pattern.startswith(("!", "#")):
        return
    parts = [part for part in pattern.split("/") if part]
    for depth in range(1, len(parts)):
        if any(part != "**" for part in parts[:depth]):
            yield "/".join(parts[:depth])


def _entries(top: bytes, folder: bytes) -> Iterator[tuple[bytes, bool]]:
    try:
        with os.scandir(os.path.join(top, folder)) as found:
            for entry in found:
                if entry.name not in NEVER:
                    yield entry.name, entry.is_dir(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return


def _step(compiled: Sequence[_Pattern], places: _Places, name: bytes, *, folder: bool) -> tuple[bool, _Places]:
    """Whether an entry called `name` matches, and how far one comes below it."""
    text = name.decode("utf-8", "surrogateescape")  # so that `?` is one character, and each stray byte is one too
    matched = False
    after: list[tuple[int, int]] = []
    for number, place in places:
        pattern = compiled[number]
        segment = pattern.segments[place]
        if segment is None:
            after.append((number, place))
        elif segment.fullmatch(text):
            if place + 1 < len(pattern.segments):
                after.append((number, place + 1))
            else:
                matched = matched or folder or not pattern.folders_only
    return matched, _closed(compiled, after) if folder else frozenset()


def _closed(compiled: Sequence[_Pattern], places: Iterable[tuple[int, int]]) -> _Places:
    """`**` also stands for no folder at all: the segment after it may be next as well."""
    found = set()
    for number, place in places:
        found.add((number, place))
        while compiled[number].segments[place] is None:
            place += 1
            found.add((number, place))
    return frozenset(found)


def _compiled(pattern: str) -> _Pattern:
    segments = [_segment(part) for part in pattern.split("/") if part not in ("", ".")]
    if segments and segments[-1] is None:
        segments.append(_segment("*"))  # `a/**` is everything in `a`, but not `a`
    return _Pattern(tuple(segments) or (re.compile(r"(?!)"),), folders_only=pattern.endswith("/"))


def _segment(part: str) -> re.Pattern[str] | None:
    if part == "**":
        return None
    return re.compile("".join(map(_translated, _TOKEN.finditer(part))), re.S)


def _translated(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "one":
            return "."
        case "any":
            return ".*"
        case "set":
            inner = re.sub(r"([\\\[&~|])", r"\\\1", token["set"])
            return f"[{'^' if token['turned'] else ''}{inner}]"
        case _:
            return re.escape(token["escaped"] or token["plain"])
