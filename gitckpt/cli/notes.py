"""What commands that are done in a moment say while they work. Not loaded by those that only read."""

from __future__ import annotations

import click

from gitckpt.engine.ports import Reporter
from gitckpt.model.text import safe
from gitckpt.progress.events import Note, ProgressEvent, Warned


def quiet_reporter() -> Reporter:
    """For commands that are done in a moment."""
    return NotesReporter()


class NotesReporter:
    """Warnings and notes as they are: a command that moves files says where it kept what."""

    def __call__(self, event: ProgressEvent) -> None:
        match event:
            case Note(text) | Warned(text):
                for line in text.splitlines():
                    click.echo(safe(line), err=True)
            case _:
                return

    def tick(self) -> None:
        """Nothing to redraw."""

    def close(self) -> None:
        """Nothing to end."""
