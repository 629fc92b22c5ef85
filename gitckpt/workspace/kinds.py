"""What the walk decided about one entry, as one byte of the stat cache. Pure numbers; knows neither disk nor
git.
"""

from __future__ import annotations

UNDECIDED = 0
FILE = 1
LINK = 2
FOLDER = 3
FIFO = 4
SOCKET = 5
DEVICE = 6
HIDDEN = 7
HIDDEN_FOLDER = 8
QUIET = 9
EXCLUDED = 10
SECRET_NAME = 11
SECRET_MODE = 12
PRIVATE_KEY = 13
SECRET_VALUE = 14
WAY = 15
"""A folder that git ignores and that a rule of ours names on the way to what it captures: kept even when empty."""

HELD = frozenset({FILE, LINK})
"""Entries whose bytes are in the content."""

WALKED = frozenset({FOLDER, HIDDEN_FOLDER, WAY})
LEFT_OUT = {
    SECRET_NAME: "a secret by its name",
    SECRET_MODE: "named like a key and readable by its owner only",
    PRIVATE_KEY: "holds a private key",
    SECRET_VALUE: "holds a declared secret",
}
NOT_KEPT = {SOCKET: "socket", DEVICE: "device"}
NAMED = frozenset({*LEFT_OUT, *NOT_KEPT})
"""Entries that a snapshot names although it does not hold them."""

BY_CONTENT = frozenset({FILE, SECRET_MODE, PRIVATE_KEY, SECRET_VALUE})
"""Decisions about a regular file that its mode or bytes can change."""

IGNORED = frozenset({HIDDEN, HIDDEN_FOLDER, QUIET, WAY})
"""Entries that git ignores, and whose bytes nothing brings in."""

NEVER_HELD = frozenset({HIDDEN, QUIET, EXCLUDED, *LEFT_OUT})
"""Entries that are not captured, nor anything below them."""
