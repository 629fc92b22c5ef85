"""What waits for a decision because two changed the same paths differently, as a manifest tells it.

Owns the names of conflicts. Must not know how one is decided.
"""

from __future__ import annotations

from gitckpt.model.manifest import Conflict, Manifest, state_of

MINE = "yours"
"""How the user's own edits are called among the conflicts."""


def conflicts(manifest: Manifest) -> dict[str, Conflict]:
    """What waits for a decision: by phase, and the user's own edits as `yours`."""
    states = ((name, state_of(manifest, name).conflict) for name in manifest.order)
    found = {str(name): conflict for name, conflict in states if conflict is not None}
    return found | ({MINE: manifest.clash} if manifest.clash is not None else {})
