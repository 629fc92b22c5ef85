"""Descriptors through a socket between two processes: how `fork_server.py` and `forking.py` pass them.

Owns the form on the wire. The watchdog's program imports it, so it imports only what starts fast; `_socket` is all that
`socket` wraps, without the enums that take 2 ms.
"""

from __future__ import annotations

import _socket
import array

_MOST = 64
"""Descriptors in one message: three streams, and locks."""


def pass_on(wire: _socket.socket, data: bytes, descriptors: list[int]) -> None:
    """Send both as one message. Raises BrokenPipeError when nobody is there."""
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    wire.sendmsg([data], rights)


def take_in(wire: _socket.socket, length: int) -> tuple[bytes, list[int]]:
    """The next message, of at most `length` bytes; no bytes where the other end is gone. What is passed is not
    inherited by programs."""
    found = array.array("i")
    space = _socket.CMSG_SPACE(_MOST * found.itemsize)
    try:
        data, ancillary, _, _ = wire.recvmsg(length, space, getattr(_socket, "MSG_CMSG_CLOEXEC", 0))
    except ConnectionResetError:
        return b"", []
    for level, kind, rights in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            found.frombytes(rights[: len(rights) - len(rights) % found.itemsize])
    return data, found.tolist()
