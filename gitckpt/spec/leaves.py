"""Single values of a workflow file: what each `Form` accepts, what it becomes, and what is said of one that
it does not accept. Owns no positions but the ones handed in. Must not know mappings.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import assert_never

from gitckpt.model.duration import parse_duration, parse_size
from gitckpt.model.forms import Form
from gitckpt.model.names import LIVE_FOLDER, name_problem, phase_name_problem
from gitckpt.spec.problem import near, quoted, visible
from gitckpt.spec.yaml_strict import Entries, Listing, Node, Scalar

Leaf = str | int | float | bool

LONGEST_REGEX = 1_000
LARGEST_COUNT = 1_000_000
LARGEST_AMOUNT = 1_000_000_000
ENV_NAME_PATTERN = r"^(?!GITCKPT_)[A-Za-z_][A-Za-z0-9_]*$"
DATA_KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,99}$"
_MODULE = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*"
_IN_FILE = r"(?![/.])(?!(.*/)?\.\.?/)[A-Za-z0-9_./-]+\.py:[A-Za-z0-9_][A-Za-z0-9_.-]*"
FUNCTION_PATTERN = f"^({_MODULE}|{_IN_FILE})$"

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DATA_KEY = re.compile(DATA_KEY_PATTERN, re.ASCII)
_FUNCTION = re.compile(FUNCTION_PATTERN, re.ASCII)
_RESERVED_ENV = "GITCKPT_"
_PATTERN = re.compile(r"(?:[^][\\]|\\[^\w/]|\[[!^]?[\w.,+@%=-]+\])+")
_NUMBER = re.compile(r"[-+]?[0-9]{1,20}(\.[0-9]*)?", re.ASCII)
_LETTER_SET = re.compile(r"(?<!\\)\[[!^]?([\w.,+@%=-]+\])")


class Refused(ValueError):
    """A value that cannot stand where it stands; the text follows the quoted key."""


def kind_of(node: Node) -> str:
    """What a person would call the value."""
    match node:
        case Listing():
            return "a list"
        case Entries():
            return "a mapping"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return f"{node.text} (true or false)"
        case Scalar(value=int() | float()):
            return f"the number {node.text[:40]}"
        case Scalar():
            return "text"
        case _:
            assert_never(node)


def text_of(node: Node) -> str:
    """Text, or a number as it was written. Raises Refused for all else."""
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        quote = ": put it in quotes" if isinstance(node, Scalar) and node.value is not None else ""
        raise Refused(f"must be text, not {kind_of(node)}{quote}")
    _no_nul(node.text)
    return node.text


def flag_of(node: Node) -> bool:
    """`true` or `false`. Raises Refused."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    shown = quoted(node.text) if isinstance(node, Scalar) and node.value is not None else kind_of(node)
    raise Refused(f"must be true or false, not {shown}")


def number_of(node: Node) -> int:
    """A whole number. Raises Refused."""
    if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    shown = quoted(node.text) if isinstance(node, Scalar) and node.value is not None else kind_of(node)
    raise Refused(f"must be a whole number, not {shown}")


def choice_of(node: Node, choices: Sequence[str]) -> str:
    """One of the given words. Raises Refused."""
    text = text_of(node)
    if text in choices:
        return text
    raise Refused(f"must be {' or '.join(choices)}, not {quoted(text)}{near(text, choices)}")


def leaf_of(form: Form, node: Node) -> Leaf:
    """The kept value of a leaf. Raises Refused."""
    return _READERS[form](node)


def env_name_problem(text: str) -> str | None:
    """Why a variable cannot be called so; None when it can."""
    if not _ENV_NAME.fullmatch(text):
        return "an environment variable's name holds letters, digits and `_`, and starts with no digit"
    if text.startswith(_RESERVED_ENV):
        return "names that start with GITCKPT_ are gitckpt's own"
    return None


def _duration(node: Node) -> int:
    return _measured(node, parse_duration)


def _size(node: Node) -> int:
    return _measured(node, parse_size)


def _measured(node: Node, parse: Callable[[str], int]) -> int:
    text = text_of(node)
    try:
        return parse(text)
    except ValueError as error:
        raise Refused(f"cannot be {quoted(text)}: {error}") from error


def _factor(node: Node) -> int:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = quoted(node.text) if isinstance(node, Scalar) and value is not None else kind_of(node)
        raise Refused(f"must be a number such as 2 or 1.5, not {shown}")
    if not 1 <= value <= 1_000:
        raise Refused(f"must be from 1 to 1000, not {value}")
    return round(value * 1_000)


def _command(node: Node) -> str:
    text = text_of(node)
    if not text.strip():
        raise Refused("is an empty command")
    return text


def _regex(node: Node) -> str:
    text = text_of(node)
    problem = regex_problem(text)
    if problem:
        raise Refused(f"is not a regular expression: {visible(problem)}")
    return text


def regex_problem(text: str) -> str | None:
    """Why the text is no Python regular expression; None when it is one."""
    if len(text) > LONGEST_REGEX:
        return f"it has {len(text):,} characters, at most {LONGEST_REGEX:,} are read"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None


def _path(node: Node) -> str:
    text = text_of(node)
    if text.startswith("/"):
        raise Refused(f"{quoted(text)} is absolute; paths are inside the workspace")
    _inside(text)
    return text


def _pattern(node: Node) -> str:
    text = text_of(node)
    if text.startswith("/"):
        raise Refused(f"{quoted(text)} is absolute; patterns are inside the workspace")
    if text.startswith("!"):
        raise Refused(f"{quoted(text)}: a pattern cannot be turned round with `!`; use the other list")
    if text.startswith("#") or text != text.rstrip() or not _is_pattern(text):
        raise Refused(f"{quoted(text)} is no pattern: only the plain forms of gitignore(5) are read")
    _inside(text)
    return text


def _is_pattern(text: str) -> bool:
    # The library that matches patterns hands odd sets (`[z-a]`, `[[:alpha:]]`) to `re`, which fails, or warns and
    # misreads: only plain sets are taken. It is not asked itself: `status` loads this file, and importing it is 25 ms.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for inner in _LETTER_SET.findall(text):
                re.compile("[" + inner)
    except (re.error, FutureWarning):
        return False
    return _PATTERN.fullmatch(text) is not None


def _inside(text: str) -> None:
    if not text.strip():
        raise Refused("is empty; write . for the workspace itself")
    parts = text.split("/")
    if ".." in parts:
        raise Refused(f"{quoted(text)} leads out of the workspace")
    if LIVE_FOLDER in parts[:1]:
        raise Refused(f"{quoted(text)} is inside {LIVE_FOLDER}, which is gitckpt's own")
    if "\n" in text:
        raise Refused(f"{quoted(text)} holds a line break")


def _env_name(node: Node) -> str:
    text = text_of(node)
    problem = env_name_problem(text)
    if problem:
        raise Refused(f"cannot hold {quoted(text)}: {problem}")
    return text


def _value(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise Refused(f"must be one value, not {kind_of(node)}")
    if node.value is None:
        raise Refused('is empty; write "" for an empty text')
    _no_nul(node.text)
    return node.text


def _no_nul(text: str) -> None:
    # A double-quoted "\0" passes YAML; no command line, path or variable can hold it.
    if "\0" in text:
        raise Refused("holds a NUL character")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused("holds half of a surrogate pair")


def _count(node: Node) -> int:
    value = number_of(node)
    if not 0 <= value <= LARGEST_COUNT:
        raise Refused(f"must be from 0 to {LARGEST_COUNT}, not {value}")
    return value


def _amount(node: Node) -> int:
    value = number_of(node)
    if not 1 <= value <= LARGEST_AMOUNT:
        raise Refused(f"must be from 1 to {LARGEST_AMOUNT}, not {value}")
    return value


def _at_once(node: Node) -> int:
    value = number_of(node)
    if value < 1:
        raise Refused(f"must be 1 or more, not {value}; 1 is one at a time")
    if value > LARGEST_AMOUNT:
        raise Refused(f"must be at most {LARGEST_AMOUNT}, not {value}")
    return value


def _quantity(node: Node) -> int:
    text = text_of(node)
    if _NUMBER.fullmatch(text) and not (text.isdigit() and int(text)):
        raise Refused(f"must be a whole number from 1 on, or a size such as 8GiB, not {quoted(text)}")
    amount = _measured(node, parse_size)
    if amount == 0:
        raise Refused(f"must be more than 0, not {quoted(text)}")
    return amount


def _percent(node: Node) -> int:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = quoted(node.text) if isinstance(node, Scalar) and value is not None else kind_of(node)
        raise Refused(f"must be a number such as 5 or 0.5, not {shown}")
    if not 0.001 <= value <= 100:
        raise Refused(f"must be from 0.001 to 100, not {value}")
    return round(value * 1_000)


def _data_key(node: Node) -> str:
    text = text_of(node)
    if not _DATA_KEY.fullmatch(text):
        rule = "letters, digits, `_`, `.` and `-`, starts with a letter or `_`, and has at most 100 characters"
        raise Refused(f"cannot hold {quoted(text)}: a key of `data` holds {rule}")
    return text


def _function(node: Node) -> str:
    text = text_of(node)
    if not _FUNCTION.fullmatch(text):
        raise Refused(f"cannot be {quoted(text)}: a function is written as package.module:function or file.py:function")
    return text


def _exit_code(node: Node) -> int:
    value = number_of(node)
    if not 1 <= value <= 255:
        raise Refused(f"must be an exit code from 1 to 255, not {value}")
    return value


def _resource(node: Node) -> str:
    text = text_of(node)
    problem = name_problem(text)
    if problem:
        raise Refused(f"cannot hold {quoted(text)}: {problem}")
    return text


def _workflow_name(node: Node) -> str:
    return _named(node, name_problem)


def _phase_name(node: Node) -> str:
    return _named(node, phase_name_problem)


def _named(node: Node, problem_of: Callable[[str], str | None]) -> str:
    text = text_of(node)
    problem = problem_of(text)
    if problem:
        raise Refused(f"cannot be {quoted(text)}: {problem}")
    return text


_READERS: dict[Form, Callable[[Node], Leaf]] = {
    Form.DURATION: _duration,
    Form.SIZE: _size,
    Form.FACTOR: _factor,
    Form.COMMAND: _command,
    Form.REGEX: _regex,
    Form.PATH: _path,
    Form.PATTERN: _pattern,
    Form.ENV_NAME: _env_name,
    Form.VALUE: _value,
    Form.COUNT: _count,
    Form.AMOUNT: _amount,
    Form.AT_ONCE: _at_once,
    Form.QUANTITY: _quantity,
    Form.PERCENT: _percent,
    Form.DATA_KEY: _data_key,
    Form.FUNCTION: _function,
    Form.EXIT_CODE: _exit_code,
    Form.WORKFLOW_NAME: _workflow_name,
    Form.PHASE_NAME: _phase_name,
    Form.RESOURCE: _resource,
    Form.GROUP: _workflow_name,
}
