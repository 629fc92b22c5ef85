"""The live mirror: `.gitckpt/state.json` in the workspace, for `jq` and eyes. The branch is the truth.

Owns its atomic replacement. It is never read back by the engine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from gitckpt.engine.hold import Hold, prepare_live
from gitckpt.engine.inflight import InFlight
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.codec import encode_manifest
from gitckpt.model.events import Event
from gitckpt.model.manifest import Manifest, Status, state_of


def write_mirror(hold: Hold, manifest: Manifest) -> None:
    """Replace the mirror; it is not worth failing for."""
    live = hold.place.live
    temporary = live / "state.json.new"
    try:
        prepare_live(hold.place)
        temporary.unlink(missing_ok=True)  # whatever lies there, nothing is written through it
        with open(temporary, "xb") as file:
            file.write(encode_manifest(manifest))
        os.replace(temporary, live / "state.json")
    except OSError:
        return


def mend_mirror(hold: Hold) -> None:
    """Nothing is under way: what a dead run, a power cut or somebody else left in the mirror's place is replaced."""
    try:
        there = (hold.place.live / "state.json").read_bytes()
    except OSError:
        there = b""
    if hold.tip is not None and there != encode_manifest(hold.tip.manifest):
        write_mirror(hold, hold.tip.manifest)


def mirror_running(hold: Hold, flights: Sequence[InFlight]) -> None:
    """Show the phases under way as running, with what they wrote to `data` so far."""
    if not flights:
        return
    manifest = hold.at_tip.manifest
    phases = dict(manifest.phases)
    for flight in flights:
        if flight.undoing is not None:  # it runs alone, and sees what its completion saw and wrote
            manifest = replace(manifest, data=flight.undoing.then.data, params=flight.undoing.then.params)
        if flight.staged:
            manifest = _with_staged(manifest, flight.staged)
        phases[flight.phase.name] = replace(state_of(manifest, flight.phase.name), status=Status.RUNNING)
    write_mirror(hold, replace(manifest, phases=phases, current_state=flights[0].phase.name))


def _with_staged(manifest: Manifest, staged: Sequence[Event]) -> Manifest:
    """Attempts side by side may write what cannot both be; the branch will tell, a mirror need not."""
    try:
        return replace(advance(manifest, staged), sequence=manifest.sequence)
    except IllegalEvent:
        return manifest
