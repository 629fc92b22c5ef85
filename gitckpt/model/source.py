"""The digest of the Python code that a phase calls, so that a change of it is told as one of the definition.

Owns what counts: the text of the function, not its decorators, its place in the file, or what it calls.
"""

from __future__ import annotations

import ast
import hashlib
import re
from textwrap import dedent

_FLOW = re.compile(r"""^[^#\n]*\bFlow\(\s*(["'])(.*?)\1""", re.MULTILINE)
"""The call, in a file that is being mended and is no Python just now."""


def code_digest(*sources: str) -> str:
    """`sha256:` and 16 hex digits over the source texts of functions."""
    texts = "\0".join(map(_plain, sources))
    return "sha256:" + hashlib.sha256(texts.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def function_source(module: str, name: str) -> str | None:
    """The text of a function at the top of a module's text, without running it; None where it is not found there."""
    try:
        tree = ast.parse(module)
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return ast.get_source_segment(module, node)
    return None


def declared_name(module: str) -> str | None:
    """The name of the workflow that a Python file declares, as it stands in its call of `Flow`; the file is not run."""
    try:
        calls = [node for node in ast.walk(ast.parse(module)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError):
        found = _FLOW.search(module)
        return found[2] if found else None
    for call in calls:
        named = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
        if named == "Flow" and call.args and isinstance(call.args[0], ast.Constant):
            return str(call.args[0].value)
    return None


def _plain(source: str) -> str:
    """Without decorators, which hold the phase's keys, and without the indent of where it stands."""
    text = dedent(source)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):  # a lambda is cut out with what stands around it
        return text.strip()
    first = tree.body[0] if tree.body else None
    if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef):
        text = "\n".join(text.splitlines()[first.lineno - 1 : first.end_lineno])
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
