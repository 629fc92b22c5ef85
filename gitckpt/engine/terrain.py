"""What a run says of the ground it stands on: a network file system, on which locks and change times may not hold."""

from __future__ import annotations

import os

from gitckpt.engine.hold import Hold
from gitckpt.model.text import safe
from gitckpt.progress.events import Warned
from gitckpt.workspace.mounts import network_kind


def warn_of_network(hold: Hold) -> None:
    """Say it once, of the workspace and of the repository."""
    for folder in dict.fromkeys((hold.given.root, hold.given.repository.common_dir)):
        kind = network_kind(folder)
        text = (
            f"{safe(os.fsencode(folder))} lies on a network file system ({kind}): locks and change times may not hold"
        )
        if kind is not None and text not in hold.told:
            hold.told.add(text)
            hold.reporter(Warned(f"{text}\n  run one gitckpt at a time there, from one machine"))
