"""The far end of `fork_server.py`: a watchdog that has read its modules, and forks for each attempt.

Starting Python and reading these modules takes a dozen milliseconds of processor time, a fork one. Owns the loop, and
what a child has to undo. It runs in the watchdog's program, so it imports only what starts fast.
"""

from __future__ import annotations

import _socket
import errno
import gc
import os

from gitckpt.execute.passing import pass_on, take_in

TYPE_CHECKING = False  # as in `supervise.py`
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

_WIRE = 0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def serve() -> tuple[int, ...]:
    """Fork for each request until the runner has gone. Returns only in a child, whose standard streams are its own by
    then: the descriptors of the locks that it is to hold.

    A request is one byte, with standard input, output and error and the locks as rights. The answer is an error number
    and a pid, 4 bytes each, with a descriptor of that process as rights.
    """
    for number in (*_IGNORED, signal.SIGCHLD):  # nobody waits for the children here: they go as they end
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir("/")
    wire = _socket.socket(fileno=_WIRE)
    gc.freeze()  # a collection in a child would copy every page
    while True:
        said, passed = take_in(wire, 1)
        if not said:
            os._exit(0)
        try:
            child = os.fork()
        except OSError as problem:
            _close(passed)
            _answer(wire, problem.errno or errno.EAGAIN, 0, [])
            continue
        if child == 0:
            wire.detach()
            return _become(passed)
        # Before the answer: the attempt may be over at once, and its locks are then to be free.
        _close(passed)
        held = _held(child)
        _answer(wire, 0, child, held)
        _close(held)


def _held(child: int) -> list[int]:
    """A descriptor of the process; none where it was killed already, or where no more can be opened."""
    try:
        return [os.pidfd_open(child)]
    except OSError:
        return []


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _answer(wire: _socket.socket, error: int, child: int, held: list[int]) -> None:
    try:
        pass_on(wire, error.to_bytes(4, "big") + child.to_bytes(4, "big"), held)
    except BrokenPipeError:
        pass  # the runner has died: the next look finds that out, and the child finds nothing to do


def _become(passed: list[int]) -> tuple[int, ...]:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(passed[:3]):
        # None of them is 0, 1 or 2: these were taken when they came.
        os.dup2(fd, number)
        os.close(fd)
    return tuple(passed[3:])
