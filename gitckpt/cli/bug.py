"""What becomes of a bug: a file to send, never a traceback on the terminal. Loaded only when there is one."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback


def report(error: Exception, arguments: list[str]) -> str:
    """Write the report; the sentence that says where it is, or why there is none."""
    try:
        handle, name = tempfile.mkstemp(prefix="gitckpt-bug-", suffix=".txt", text=True)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"gitckpt {' '.join(arguments)}\nPython {sys.version}\n\n")
            file.write("".join(traceback.format_exception(error)))
    except OSError as refused:
        return f"what was recorded before is safe; its report could not be written: {refused.strerror or refused}"
    return f"what was recorded before is safe; the report is in {name}: please send it with what you did"
