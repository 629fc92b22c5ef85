"""What git ignores, in git's own words: its rules from `.gitignore`, `info/exclude` and the user's
configuration. Owns the process that answers; decides nothing about what is captured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from gitckpt.errors import GitFailed
from gitckpt.plumbing.launch import Dialogue, DialogueError
from gitckpt.plumbing.process import user_environment_for, user_git
from gitckpt.plumbing.repository import Repository

_Answer = TypeVar("_Answer")
_FEW = 64
"""So many paths are handed to git one by one; for more it lists all that it tracks around them."""


def agreed(first: _Answer, ask: Callable[[], _Answer]) -> _Answer:
    """An answer of git's that is doubted: git goes on without an ignore file that it fails to read, and may not say so.

    The second answer counts where it is the first one, or where a third is the same. Raises GitFailed where git says
    something else each time.
    """
    second = ask()
    if second == first or second == ask():
        return second
    raise GitFailed(("check-ignore",), 0, "it says something else about the same paths each time")


class Ignore:
    """Asks one long-lived `git check-ignore`. Git remembers ignore files: open a new one for each walk.

    `top`: a folder that stands for the repository's top, with the `.gitignore` files and folders that are to count.
    """

    def __init__(self, repository: Repository, timeout: float = 60.0, top: Path | None = None) -> None:
        self._repository = replace(repository, top=top) if top is not None else repository
        self._timeout = timeout
        self._dialogue: Dialogue | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the git process; the next question would start another."""
        if self._dialogue is not None:
            self._dialogue.close()
            self._dialogue = None

    def ignored(self, paths: Sequence[bytes]) -> list[bool]:
        """For each path relative to the repository's top: do the rules ignore it? Tracked or not does not
        count.

        A folder's rule needs the folder to be there (`build/` matches nothing else). A path that a later
        `!pattern` takes back is not ignored. Raises GitFailed, for example for a path beyond a symlink;
        ValueError for b"".
        """
        return [rule is not None for rule in self.ignored_by(paths)]

    def ignored_by(self, paths: Sequence[bytes]) -> list[bytes | None]:
        """As `ignored`, for each path the file whose rule ignores it, as git names it: one of the repository's
        relative to its top. None for a path that is not ignored.
        """
        if not paths:
            return []
        if b"" in paths:
            raise ValueError("the repository's top is never ignored")
        answers = self._answers(paths)
        if self._complained():
            answers = agreed(answers, lambda: self._answers_afresh(paths))
            # What it complains about again will not change by asking.
            self._complained()
        return answers

    def _complained(self) -> bool:
        return self._dialogue is not None and self._dialogue.complained()

    def _answers_afresh(self, paths: Sequence[bytes]) -> list[bytes | None]:
        self.close()
        return self._answers(paths)

    def _answers(self, paths: Sequence[bytes]) -> list[bytes | None]:
        try:
            return self._ask(paths)
        except DialogueError:
            self.close()
        try:
            return self._ask(paths)
        except DialogueError as ended:
            self.close()
            raise GitFailed(("check-ignore",), 128, str(ended)) from None

    def _ask(self, paths: Sequence[bytes]) -> list[bytes | None]:
        if self._dialogue is None:
            self._dialogue = Dialogue(
                # It refuses the literal ones; `./` before each path keeps `:(top)x` a name.
                "--no-literal-pathspecs",
                "check-ignore",
                "--stdin",
                "-z",
                "-v",
                "--non-matching",
                "--no-index",
                environment=user_environment_for(self._repository),
                folder=str(self._repository.top),
                timeout=self._timeout,
            )
        dialogue = self._dialogue
        dialogue.send(b"".join([b"./%b\0" % path for path in paths]))
        answers: list[bytes | None] = []
        for path in paths:
            # Where the rule stands (file, line), the rule, the path.
            source = dialogue.until(b"\0")
            dialogue.until(b"\0")
            pattern = dialogue.until(b"\0")
            if dialogue.until(b"\0") != b"./" + path:
                self.close()
                raise GitFailed(("check-ignore",), 0, f"it answered for another path than {path!r}")
            answers.append(None if pattern == b"" or pattern.startswith(b"!") else source)
        return answers


def tracked_ignored(repository: Repository, prefix: bytes) -> frozenset[bytes]:
    """The files in the user's index below `prefix` that a rule would ignore: git never ignores what it
    tracks.

    Relative to the repository's top. Empty for an index that cannot be read: then the rules alone decide.
    """
    paths = (b"--", prefix) if prefix else (b"--",)
    try:
        said = user_git(repository, "ls-files", "-i", "-c", "--exclude-standard", "-z", *paths)
    except GitFailed:
        return frozenset()
    return frozenset(said.split(b"\0")) - {b""}


def tracked_in(repository: Repository, paths: Sequence[bytes]) -> frozenset[bytes]:
    """The files in the user's index that are at or below any of `paths`; as those, relative to the repository's top.

    Empty for an index that cannot be read: then the rules alone decide.
    """
    if not paths or not (repository.git_dir / "index").exists():
        return frozenset()
    asked = paths if len(paths) <= _FEW else (os.path.commonpath(paths) or b".",)
    try:
        said = user_git(repository, "ls-files", "-c", "-z", "--", *asked)
    except GitFailed:
        return frozenset()
    # Git compares every file of the index with every path, so many paths are looked up here.
    wanted = frozenset(paths)
    return frozenset(path for path in said.split(b"\0") if path and any(each in wanted for each in _at_and_above(path)))


def _at_and_above(path: bytes) -> Iterator[bytes]:
    while path:
        yield path
        path = path.rpartition(b"/")[0]
