"""Damage to a repository's objects as a disk makes it: a flipped bit in a pack, a pack that is gone.

Owns finding the place of an object in its pack, by plain git. Must not know gitckpt.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def flip(top: Path, oid: str) -> Path:
    """Flip one bit in the middle of the object's bytes, in each pack that holds it; one of these packs."""
    packs = [pack for pack in sorted((top / ".git/objects/pack").glob("*.pack")) if _flipped(pack, oid)]
    assert packs, f"no pack holds {oid}"
    asked = subprocess.run(["git", "-C", top, "cat-file", "-p", oid], capture_output=True, check=False)
    assert asked.returncode, "git can read it all the same"
    return packs[0]


def _flipped(pack: Path, oid: str) -> bool:
    with open(pack.with_suffix(".idx"), "rb") as index:
        listed = subprocess.run(["git", "show-index"], stdin=index, capture_output=True, check=True).stdout.split(b"\n")
    rows = sorted((int(words[0]), words[1].decode()) for line in listed if (words := line.split()))
    at = next((place for place, (_, each) in enumerate(rows) if each == oid), None)
    if at is None:
        return False
    data = bytearray(pack.read_bytes())
    end = rows[at + 1][0] if at + 1 < len(rows) else len(data) - len(oid) // 2
    # Past the type and size, and the head of the deflated bytes.
    data[(rows[at][0] + 4 + end) // 2] ^= 4
    os.chmod(pack, 0o644)
    pack.write_bytes(data)
    os.chmod(pack, 0o444)
    return True


def lose(top: Path, oid: str) -> None:
    """Remove the pack that holds the object, and everything else in it."""
    for pack in sorted((top / ".git/objects/pack").glob("*.pack")):
        with open(pack.with_suffix(".idx"), "rb") as index:
            listed = subprocess.run(["git", "show-index"], stdin=index, capture_output=True, check=True).stdout
        if oid.encode() in listed:
            for each in (pack.with_suffix(".idx"), pack):
                each.unlink()
