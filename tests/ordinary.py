"""Tests once more, for a user who may mount nothing without a namespace of its own. For the superuser to call.

Owns that user, and where it finds interpreter and checkout. Must not know what is tested.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
SOMEBODY = 65534


def passes_for_an_ordinary_user(*suites: str) -> None:
    """Run the files of tests, with a home of its own. Interpreter and checkout may lie where that user may not go: they
    are bound to where everybody may."""
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="gitckpt-ordinary-"))
    python = Path(os.path.realpath(sys.executable)).relative_to(sys.base_prefix)
    binds = {"python": sys.base_prefix, "packages": sysconfig.get_path("purelib"), "code": str(CHECKOUT)}
    script = ['cd "$1"']
    for name, source in binds.items():
        (place / name).mkdir()
        script.append(f"mount --bind {shlex.quote(source)} {name}")
    (place / "own").mkdir()
    os.chown(place / "own", SOMEBODY, SOMEBODY)
    place.chmod(0o755)
    who = f"exec setpriv --reuid={SOMEBODY} --regid={SOMEBODY} --groups={SOMEBODY - 1}"
    pytest_of = '-m pytest --verbose -p no:cacheprovider -p no:randomly -p no:xdist --basetemp="$1/own/tmp"'
    script.append(f'cd code; {who} "$1/python/{python}" {pytest_of} {shlex.join(suites)}')
    own = {"HOME": str(place / "own"), "XDG_CACHE_HOME": str(place / "own"), "CI": "true"}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(script), "sh", str(place)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{place}/packages:{place}/code", **own},
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(place / "own")
    for name in binds:
        (place / name).rmdir()  # empty: what was bound to it went with the namespace
    place.rmdir()
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
