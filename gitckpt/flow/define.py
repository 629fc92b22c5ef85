"""A workflow in Python: phases are functions, with the keys of a workflow file beside them.

Owns what a user's file declares: the values as the workflow file would have them, the line of each, and the functions.
Judges no value: `gitckpt` reads the declaration as it reads a workflow file. Must not run a phase.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Unpack, overload

if TYPE_CHECKING:
    from gitckpt.engine.ports import Reporter
    from gitckpt.flow.keys import CommandKeys, FlowKeys, Function, GateKeys, Texts
    from gitckpt.model.moment import Stop

_F = TypeVar("_F", bound="Function")

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What a workflow file can hold."""

DECLARED: list[Flow] = []
"""The workflows that this process has declared, in order."""

CALL = '"$GITCKPT_PYTHON" -P -m gitckpt.flow.call'
"""How a shell starts a function of a phase, in the Python that gitckpt runs in."""


READING = False
"""Whether this process only reads what a file declares; set by the program that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One phase: its keys as a workflow file has them, the line it stands on, and its functions by part: `""` for the
    phase's own, `validate`, `compensate`."""

    name: str
    line: int
    keys: dict[str, Plain]
    functions: Mapping[str, Callable[..., object]]


class Flow:
    """A workflow. Its name must stand in the file as text, so that reading commands need not run the file."""

    def __init__(self, name: str, /, **keys: Unpack[FlowKeys]) -> None:
        frame = _caller()
        self.name = name
        self.file = Path(os.path.abspath(frame.f_code.co_filename))
        self.line = frame.f_lineno
        self.keys: dict[str, Plain] = {_written(key): plain(value, key) for key, value in keys.items()}
        self.phases: dict[str, Declared] = {}
        DECLARED.append(self)

    @overload
    def phase(self, function: _F, /) -> _F: ...

    @overload
    def phase(self, /, *, name: str = "", **keys: Unpack[CommandKeys]) -> Callable[[_F], _F]: ...

    def phase(
        self, function: _F | None = None, /, *, name: str = "", **keys: Unpack[CommandKeys]
    ) -> _F | Callable[[_F], _F]:
        """Make a function a phase, named as the function is unless `name` says otherwise. The function stays itself."""
        line = _caller().f_lineno

        def declare(function: _F) -> _F:
            if not callable(function):
                raise TypeError(f"a phase is a function, not {function!r}")
            called = name or str(getattr(function, "__name__", ""))
            self._declare(called, line, {"python": self._target(called)}, {"": function, **keys})
            return function

        return declare if function is None else declare(function)

    def command(
        self, name: str, /, *, run: Texts | None = None, argv: Texts | None = None, **keys: Unpack[CommandKeys]
    ) -> None:
        """A phase that is a shell command, or several (`run`), or a program with its arguments (`argv`)."""
        given = {key: value for key, value in (("run", run), ("argv", argv)) if value is not None}
        self._declare(name, _caller().f_lineno, {}, {**given, **keys})

    def gate(self, name: str, /, *, prompt: str, **keys: Unpack[GateKeys]) -> None:
        """A phase at which the run ends and waits for a person."""
        beside = {"desc", "needs", "if_", "requires", "on_failure", "pivot"}
        asked = {key: value for key, value in keys.items() if key not in beside}
        gate = {"prompt": prompt, **asked}
        others = {key: value for key, value in keys.items() if key in beside}
        self._declare(name, _caller().f_lineno, {}, {"gate": gate, **others})

    def run(self, *, params: Mapping[str, str] | None = None, reporter: Reporter | None = None) -> Stop:
        """Run or resume this workflow, with progress on stderr, and say why it stopped.

        `reporter` watches instead. Raises gitckpt.errors.GitckptError; a failed phase is a verdict, not an exception.
        """
        self._require_run()
        watching = reporter or import_module("gitckpt.cli.live").reporter_for(sys.stderr, "auto")
        try:
            stop: Stop = import_module("gitckpt.api.library").run(
                self.file.parent, file=self.file, params=params, reporter=watching
            )
        finally:
            if reporter is None:
                watching.close()
        return stop

    def main(self) -> NoReturn:
        """The command line of this workflow: `python flow.py` is `gitckpt --file flow.py run`, `python flow.py log`
        is `gitckpt --file flow.py log`. Ends the program with gitckpt's exit code."""
        self._require_run()
        command_line = import_module("gitckpt.cli.main")
        command_line.use_utf8()
        words = sys.argv[1:]
        options = ["--file", str(self.file)]
        helped = bool(words) and words[0] in ("-h", "--help", "--version")
        command = [] if helped or any(not word.startswith("-") for word in words[:1]) else ["run"]
        raise SystemExit(command_line.guarded([*options, *command, *words]))

    def _require_run(self) -> None:
        if READING:
            raise RuntimeError(
                "the file runs its workflow while it is read; write it below `if __name__ == '__main__':`"
            )

    def _target(self, name: str, part: str = "") -> str:
        return f"{self.file.name}:{name}" + (f".{part}" if part else "")

    def _declare(self, name: str, line: int, keys: dict[str, Plain], given: Mapping[str, Any]) -> None:
        if name in self.phases:
            raise ValueError(f"there is a phase {name!r} already, on line {self.phases[name].line}")
        functions: dict[str, Callable[..., object]] = {}
        for key, value in given.items():
            match key:
                case "":
                    functions[""] = value
                case "validate" if callable(value):
                    functions[key] = value
                    keys[key] = {"python": self._target(name, key)}
                case "compensate" if callable(value):
                    functions[key] = value
                    keys[key] = f"{CALL} {self._target(name, key)}"
                case "needs":
                    keys[key] = self._needs(value)
                case _:
                    keys[_written(key)] = plain(value, key)
        self.phases[name] = Declared(name=name, line=line, keys=keys, functions=functions)

    def _needs(self, given: str | Function | Sequence[str | Function]) -> Plain:
        several = [given] if isinstance(given, str) or callable(given) else given
        return [self._name_of(each) if callable(each) else each for each in several]

    def _name_of(self, function: Function) -> str:
        for phase in self.phases.values():
            if phase.functions.get("") is function:
                return phase.name
        raise ValueError(f"needs: {getattr(function, '__name__', function)!r} is no phase above this one")


def plain(value: object, where: str) -> Plain:
    """A value as a workflow file holds it. Raises TypeError for what it cannot hold."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case os.PathLike():
            return os.fspath(value) if isinstance(os.fspath(value), str) else os.fsdecode(value)
        case Mapping():
            return {str(key): plain(each, f"{where}.{key}") for key, each in value.items()}
        case list() | tuple():
            return [plain(each, where) for each in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _record(value, where)
        case _:
            kinds = "text, numbers, true and false, lists, mappings and paths"
            raise TypeError(f"{where}: a workflow holds {kinds}, not a {type(value).__name__}")


def _record(value: Any, where: str) -> Plain:
    """A `Param`: what it says otherwise than its defaults."""
    said = {}
    for each in fields(value):
        found = getattr(value, each.name)
        if each.default is MISSING or found != each.default:
            said[each.name] = plain(found, f"{where}.{each.name}")
    return said


def _written(key: str) -> str:
    """`if_` stands for `if`, which Python keeps for itself."""
    return key.removesuffix("_")


def _caller() -> FrameType:
    """The frame of the user's call."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    assert frame is not None  # nobody but a user calls us
    return frame
