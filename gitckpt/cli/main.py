"""The `gitckpt` command: finds a command, runs it, and turns what it raises into text and an exit code.

Owns the one error boundary and the list of commands, whose modules load only when they are called. Must not know what
any command does.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module

import click

from gitckpt.exits import ExitCode, GitckptError
from gitckpt.model.text import safe

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("making:init", "Write a workflow file that runs; make a repository if there is none."),
    "run": ("running:run", "Run the workflow, or resume it where it stopped."),
    "plan": ("reading_plan:plan", "Show what `run` would do, with reasons."),
    "status": ("reading_state:status", "Show where the workflow stands."),
    "why": ("reading_plan:why", "Say why a phase will run, or will not."),
    "log": ("reading_history:log", "List the checkpoints, newest first."),
    "output": ("reading_output:output", "Print what a phase printed."),
    "items": ("reading_items:items", "List the items of a phase: which are done, failed, still to do."),
    "show": ("reading_history:show", "Show one checkpoint."),
    "diff": ("reading_diff:diff", "Show your edits, what a checkpoint changed, or two compared."),
    "rollback": ("moving:rollback", "Go back to a checkpoint: files, definition and state."),
    "undo": ("moving:undo", "Take back the last rollback, reset or other command of yours."),
    "restore": ("moving:restore", "Bring files of a checkpoint, attempt or rescue; state stays."),
    "adopt": ("moving:adopt", "Take these files as the newest edit of a history made elsewhere."),
    "wait": ("detached:wait", "Wait for the end of the run; exits with its exit code."),
    "approve": ("gates:approve", "Say yes at a gate, with the answers that it asks for."),
    "reject": ("gates:reject", "Say no at a gate."),
    "retry": ("intervening:retry", "Make failed phases pending, so that `run` tries them."),
    "resolve": ("resolving:resolve", "Say whose change counts where two changed the same."),
    "skip": ("intervening:skip", "Mark a phase as not to be run."),
    "pause": ("intervening:pause", "Stop the active run at its next boundary."),
    "reset": ("intervening:reset", "Give the run up; history and files stay."),
    "checkpoint": ("intervening:checkpoint", "Make a named checkpoint, from inside a phase or any script."),
    "state": ("intervening:state", "Read and change the workflow's data."),
    "verify": ("reading_verify:verify", "Check every checkpoint and every byte of the history."),
    "doctor": ("mending:doctor", "Find what is not as it should be; with --repair, mend it."),
    "gc": ("retention:gc", "Drop the oldest runs from the history."),
    "test-resume": ("rehearsing:test_resume", "Prove that this workflow can be resumed: kill it, in a copy."),
    "lint": ("making:lint", "Check the workflow file."),
    "schema": ("making:schema", "Print the workflow file's JSON Schema."),
}

EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 a phase failed or is blocked, 2 usage or definition, 3 waiting at a gate, "
    "4 busy, 5 a conflict needs your decision, 70 a bug in gitckpt, 75 stopped early on purpose (run again), "
    "130/143 interrupted."
)


def _take_place(command: click.Command) -> None:
    """Let the command take `-C` and `--file` after its name as well: people write `gitckpt run --file F`."""
    for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        if not any(parameter.name == "directory" for parameter in each.params):
            each.params += [_place_option("-C", "directory", "DIR"), _place_option("--file", "file", "F")]


def _place_option(flag: str, name: str, metavar: str) -> click.Option:
    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.obj[name] = value

    return click.Option((flag, name), metavar=metavar, expose_value=False, hidden=True, callback=keep)


class Commands(click.Group):
    """A group whose commands are imported when they are called; `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        # Of all that is made now nothing is garbage, and looking for some takes a tenth of the time.
        gc.disable()
        try:
            command: click.Command = getattr(import_module(f"gitckpt.cli.{module}"), name)
        finally:
            gc.enable()
        _take_place(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            also = f", did you mean `{near[0]}`?" if near else "; see `gitckpt --help`"
            raise click.UsageError(f"no command is called {args[0]!r}{also}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=Commands, epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "directory", metavar="DIR", default=".", help="Work in DIR, not here; also after the command.")
@click.option("--file", metavar="F", default=None, help="Use this workflow file; also after the command.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.version_option(package_name="gitckpt", message="gitckpt %(version)s")
@click.pass_context
def cli(ctx: click.Context, directory: str, file: str | None, quiet: bool) -> None:  # noqa: FBT001 - click's way
    """Run multi-phase workflows that never lose their place: every step is a git commit of files and state."""
    ctx.obj = {"directory": directory, "file": file, "quiet": quiet}


def main() -> None:
    """The entry point of `gitckpt` and `git-ckpt`."""
    use_utf8()
    _open_closed_streams()
    code = guarded(sys.argv[1:])
    gc.freeze()  # the process ends: Python need not look for garbage once more
    sys.exit(code)


def use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another codec: names, items and output are bytes that
    nearly everybody means as UTF-8, and a codec that lacks a character would end a phase half-way. Phases still see the
    locale as it is."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _open_closed_streams() -> None:
    """Where a standard stream was closed (`>&-`), the next file that is opened would become it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode, closefd=False))  # noqa: SIM115 - for good


def guarded(arguments: list[str]) -> int:
    """Run one command line; the exit code. The one broad except of the program is here."""
    if sys.platform == "win32":
        say_error("gitckpt does not run on Windows; use it in WSL")
        return ExitCode.USAGE
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(args=arguments, prog_name="gitckpt", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        say_error("interrupted; nothing that was recorded is lost")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has enough (`| head`). Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ExitCode.DONE
    except GitckptError as error:
        say_error(*error.report)
        return error.exit_code
    except OSError as error:
        return _refused(error, arguments)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug becomes a report, never a traceback
        return _bug(error, arguments)


def _refused(error: OSError, arguments: list[str]) -> int:
    if error.filename is None and _raised_in(error).startswith(("click.", "gitckpt.cli.")):
        # Whoever shows what was done writes to stdout alone. Python would complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        say_error(f"cannot write to stdout: {error.strerror}", "make room where it goes, then run the command again")
        return ExitCode.FAILED
    fact: GitckptError | None = import_module("gitckpt.errors").refusal(error)
    if fact is None:
        return _bug(error, arguments)
    say_error(*fact.report)
    return fact.exit_code


def _raised_in(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__")) if trace else ""


def _bug(error: Exception, arguments: list[str]) -> int:
    report: str = import_module("gitckpt.cli.bug").report(error, arguments)
    say_error(f"a bug in gitckpt: {type(error).__name__}: {error}", report)
    return ExitCode.BUG


def say_error(message: str, hint: str = "") -> None:
    """What failed, then the next step."""
    lines = [*message.splitlines(), *(f"  {line}" for line in hint.splitlines())]
    # A problem in a workflow file says that itself, after where it stands: editors look for that form.
    begin = "" if re.match(r".+?:\d+:\d+: error: ", message) else "error: "
    click.echo(begin + "\n".join(map(safe, lines)), err=True)
