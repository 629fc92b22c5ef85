"""The program that tells what workflow a Python file declares: `python -P -m gitckpt.flow.describe FILE` prints it as
JSON, in the shape that `gitckpt.spec.described` reads. What the file itself prints goes to stderr.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from gitckpt.flow import define, imports
from gitckpt.model.source import code_digest


def main(path: str) -> None:
    """Load the file and print what it declares, or the line and words of what is wrong with it."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        imports.show(kind, error, trace)
        text = f"{kind.__name__}: {error}" if str(error) else kind.__name__
        _tell(answer, {"error": {"line": _line_in(path, error, trace), "text": text}})

    sys.excepthook = fail
    imports.prepare(os.path.dirname(path))
    define.READING = True
    try:
        imports.load_file(path)
    except SystemExit as end:
        line = _line_in(path, end, end.__traceback__)
        _tell(answer, {"error": {"line": line, "text": "the file ends the program while it is read"}})
        return
    flows = imports.declared_in(path)
    if len(flows) != 1:
        line = flows[1].line if flows else 1
        text = "a file declares one workflow; this is a second one" if flows else "the file declares no gitckpt.Flow"
        _tell(answer, {"error": {"line": line, "text": text}})
        return
    _tell(answer, _described(flows[0]))


def _described(flow: define.Flow) -> dict[str, define.Plain]:
    return {
        "name": flow.name,
        "line": flow.line,
        "keys": flow.keys,
        "phases": [
            {
                "name": phase.name,
                "line": phase.line,
                "keys": phase.keys,
                "code": _code(phase),
            }
            for phase in flow.phases.values()
        ],
    }


def _code(phase: define.Declared) -> str | None:
    """Of what the phase does. How it is undone is another matter, as in a workflow file."""
    found = [phase.functions[part] for part in ("", "validate") if part in phase.functions]
    return code_digest(*map(_source, found)) if found else None


def _source(function: Callable[..., object]) -> str:
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):  # made by a program, or a callable that is no function
        return str(getattr(function, "__qualname__", type(function).__qualname__))


def _line_in(path: str, error: BaseException, trace: TracebackType | None) -> int:
    """The last line of the file that the exception went through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 1
    line = 1
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _tell(answer: TextIO, said: dict[str, define.Plain]) -> None:
    with answer:
        json.dump(said, answer)


if __name__ == "__main__":
    main(sys.argv[1])
