"""The watchdog, the program: started by path with `python -I -S`, so that nothing of the user's is imported.

It is told `serve`, or the descriptors of its locks. Owns only its own start. It stands in for the `gitckpt` package,
whose own start imports git and more, so that the few small modules it needs come in a few milliseconds, from compiled
files. What it does is in `supervise.py`.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    package = type(sys)("gitckpt")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules["gitckpt"] = package

from gitckpt.execute.forking import serve
from gitckpt.execute.supervise import main

if __name__ == "__main__":
    main(serve() if sys.argv[1:] == ["serve"] else tuple(map(int, sys.argv[1:])))
