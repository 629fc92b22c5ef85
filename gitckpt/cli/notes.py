"""What commands that are done in a moment say while they work. Not loaded by those that only read."""

from __future__ import annotations

import click

from gitckpt.engine.ports import Reporter
from gitckpt.model.text import safe
from gitckpt.progress.events import Note, PhaseEnded, ProgressEvent, Warned
from gitckpt.progress.reporter import lines_of


def quiet_reporter() -> Reporter:
    """For commands that are done in a moment."""
    return NotesReporter()


def ends_reporter() -> Reporter:
    """For a rollback, which may run commands first: also how each of them ended."""
    return EndsReporter()


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


class EndsReporter(NotesReporter):
    """Notes, and each compensation with the checkpoint that says so."""

    def __call__(self, event: ProgressEvent) -> None:
        if isinstance(event, PhaseEnded):
            for line in lines_of(event):
                click.echo(line, err=True)
        else:
            super().__call__(event)
