"""The versions that the tests run against, and those that the metadata allows: `python -m tests.house.locked WHAT`.

`lowest` prints the lowest versions that `pyproject.toml` allows, as constraints for pip; `differs` prints each package
whose version in this environment is not the one of `requirements.lock`. Owns how both files are read. It needs nothing
but Python, so that it runs where nothing is installed yet.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

TOP = Path(__file__).parents[2]
LOCK = TOP / "requirements.lock"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<lowest>[0-9][0-9.]*)(?:,<(?P<below>[0-9][0-9.]*))?")
_PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9a-z.]*)(?: ; (?P<marker>[^\\\n]+?))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


@dataclass(frozen=True, slots=True)
class Required:
    """A package that the metadata names, and the lowest version of it."""

    name: str
    lowest: str
    below: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package of the lock; `marker` says where it is installed, everywhere if it is None."""

    name: str
    version: str
    marker: str | None
    hashes: int


def required() -> list[Required]:
    """What it takes to run, to test and to build, in the order of the file."""
    metadata = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    extras = metadata["project"]["optional-dependencies"].values()
    needs = [metadata["build-system"]["requires"], metadata["project"]["dependencies"], *extras]
    found = [_REQUIREMENT.fullmatch(need) or need for several in needs for need in several]
    strange = [need for need in found if isinstance(need, str)]
    if strange:
        raise ValueError(f"each dependency has a lowest version, NAME>=VERSION: {strange}")
    return [
        Required(_plain(need["name"]), need["lowest"], need["below"]) for need in found if not isinstance(need, str)
    ]


def pins(text: str) -> dict[str, Pin]:
    """What the text of a lock pins. Whatever is not a version with its hashes has no place in it."""
    found, end = {}, 0
    for pin in _PIN.finditer(text):
        if pin.start() != end:
            break
        end = pin.end()
        hashes = pin["hashes"].count("--hash")
        found[pin["name"]] = Pin(name=pin["name"], version=pin["version"], marker=pin["marker"], hashes=hashes)
    if end != len(text):
        raise ValueError(f"line {text.count(chr(10), 0, end) + 1} of the lock is no version with its hashes")
    return found


def differences() -> Iterator[str]:
    """How this environment differs from the lock, a line a package."""
    locked = pins(LOCK.read_text(encoding="utf-8"))
    here = {_plain(each.name): each.version for each in distributions()}
    for name in sorted(locked.keys() | here.keys() - {"gitckpt", "pip", "setuptools", "wheel"}):
        pin, version = locked.get(name), here.get(name)
        if pin is None:
            yield f"{name}: not locked -> {version}"
        elif version is None and pin.marker is None:
            yield f"{name}: {pin.version} -> not installed"
        elif version is not None and version != pin.version:
            yield f"{name}: {pin.version} -> {version}"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(what: str) -> None:
    match what:
        case "lowest":
            lines = [f"{need.name}=={need.lowest}" for need in required()]
        case "differs":
            lines = [f"  {line}" for line in differences()] or ["  nothing"]
        case _:
            raise SystemExit("python -m tests.house.locked lowest|differs")
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
