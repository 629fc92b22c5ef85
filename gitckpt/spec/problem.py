"""What is wrong with a workflow file: a place in it and a sentence, and the errors that carry them.

Owns the text form `file:line:column: error: ...` and the quoting of a stranger's words. Must not know YAML.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from gitckpt.errors import GitckptError

SHOWN = 60
"""How many characters of a stranger's text an error shows."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; line and column count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong (`error`) or doubtful (`warning`) at one place of a file."""

    file: str
    mark: Mark
    text: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.mark.line}:{self.mark.column}: {self.severity}: {self.text}"


@dataclass(slots=True)
class Findings:
    """Collects the problems of one file while it is read; each is kept once."""

    file: str
    found: dict[Problem, None] = field(default_factory=dict)

    def error(self, mark: Mark, text: str) -> None:
        """Note that the file cannot be used."""
        self.found.setdefault(Problem(file=self.file, mark=mark, text=text))

    def warning(self, mark: Mark, text: str) -> None:
        """Note something doubtful."""
        self.found.setdefault(Problem(file=self.file, mark=mark, text=text, severity="warning"))

    def of(self, severity: Literal["error", "warning"]) -> tuple[Problem, ...]:
        """The problems of that severity by position."""
        chosen = (each for each in self.found if each.severity == severity)
        return tuple(sorted(chosen, key=lambda each: (each.mark, each.text)))


def quoted(text: str) -> str:
    """A stranger's text in double quotes: one line, at most `SHOWN` characters, nothing a terminal obeys."""
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return f'"{visible(shown)}"'


def visible(text: str) -> str:
    """A text that holds a stranger's words, on one line and with nothing that a terminal obeys."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def near(word: str, known: Iterable[str]) -> str:
    """`, did you mean "run"?` where one of the known words is close, else nothing."""
    close = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return f", did you mean {quoted(close[0])}?" if close else ""


@dataclass(eq=False)
class DefinitionInvalid(GitckptError):
    """A workflow file that cannot be used, with everything that is wrong with it, by position."""

    problems: tuple[Problem, ...]

    @property
    def message(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)

    @property
    def hint(self) -> str:
        return "mend the workflow file and run the command again; nothing was run or changed"


@dataclass(eq=False)
class WorkflowFileUnreadable(GitckptError):
    """The workflow file is there but cannot be read, or the one asked for is not there."""

    path: str
    why: str

    @property
    def message(self) -> str:
        return f"cannot read {self.path}: {self.why}"

    @property
    def hint(self) -> str:
        return "name a workflow file with --file, or write one with: gitckpt init"


@dataclass(eq=False)
class ParamsInvalid(GitckptError):
    """Values given with `--set` that the workflow does not take, or values it needs and was not given."""

    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        return "\n".join(self.problems)

    @property
    def hint(self) -> str:
        return "give values with: gitckpt run --set NAME=VALUE"
