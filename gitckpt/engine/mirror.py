"""The live mirror: `.gitckpt/state.json` in the workspace, for `jq` and eyes. The branch is the truth.

Owns its atomic replacement. It is never read back by the engine.
"""

from __future__ import annotations

import os
from dataclasses import replace

from gitckpt.engine.hold import Hold, prepare_live
from gitckpt.model.advance import advance
from gitckpt.model.codec import encode_manifest
from gitckpt.model.manifest import Manifest, Status, state_of
from gitckpt.model.names import PhaseName


def write_mirror(hold: Hold, manifest: Manifest) -> None:
    """Replace the mirror; it is not worth failing for."""
    live = hold.place.live
    temporary = live / "state.json.new"
    try:
        prepare_live(hold.place)
        temporary.write_bytes(encode_manifest(manifest))
        os.replace(temporary, live / "state.json")
    except OSError:
        return


def mirror_running(hold: Hold, phase: PhaseName) -> None:
    """Show the phase as running, with what it wrote to `data` so far."""
    manifest = hold.at_tip.manifest
    if hold.staged:
        manifest = replace(advance(manifest, hold.staged), sequence=manifest.sequence)
    state = replace(state_of(manifest, phase), status=Status.RUNNING)
    write_mirror(hold, replace(manifest, phases={**manifest.phases, phase: state}, current_state=phase))
