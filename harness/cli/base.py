"""What the commands share: one line for each error, exit codes, the target's options, output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from harness.history import History
    from harness.plan.codec import Scenario
    from harness.run.options import Options
    from harness.run.trial import Trial

HELD, VIOLATED, UNUSABLE = 0, 1, 4
INTERRUPTED = 130


class Unusable(Exception):
    """Something that cannot be used. Its text is one line: what, why, what to do."""


class Commands(click.Group):
    """A group whose errors are one line on stderr, with exit code 4, and never a traceback for bad input."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        from harness.run import interrupt

        kwargs["standalone_mode"] = False
        try:
            with interrupt.remembered():
                code = super().main(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError as wanted:
            click.echo(wanted.ctx.get_help() if wanted.ctx else "")
            code = UNUSABLE
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "seatrial"
            _say(f"{error.format_message()} (see `{command} --help`)")
            code = UNUSABLE
        except click.ClickException as error:
            _say(error.format_message())
            code = UNUSABLE
        except (click.Abort, KeyboardInterrupt):
            _say("interrupted")
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader (`head`, a pager) went away; nothing is to be said, and Python must not try to flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = HELD
        except Exception as error:
            if not isinstance(error, _expected()):
                raise
            _say(str(error))
            code = UNUSABLE
        sys.exit(code if isinstance(code, int) else HELD)


def _expected() -> tuple[type[BaseException], ...]:
    """Errors whose text is one line for the user."""
    from harness.plan.codec import ScenarioError
    from harness.plan.plan import PlanError
    from harness.report.findings_json import FindingsError
    from harness.report.requests import NotPlain
    from harness.run.journal import JournalError
    from harness.run.options import OptionError
    from harness.targets.base import TargetError

    ours = (ScenarioError, PlanError, FindingsError, NotPlain, JournalError, OptionError, TargetError)
    return (Unusable, OSError, *ours)


def _say(text: str) -> None:
    click.echo(f"seatrial: {' '.join(text.split())}", err=True)


def show_text(text: str) -> None:
    """Print, in colour where there is a terminal that can."""
    from harness.report.terminal import console, styled

    console().print(styled(text))


def width() -> int:
    """Columns to draw in: at most 100, as many as the terminal has, 100 in a log."""
    from harness.report.terminal import console

    found = console()
    return max(60, min(100, found.width)) if found.is_terminal else 100


def columns(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> list[str]:
    """Rows with aligned columns; the last one is wrapped."""
    import textwrap

    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        head = indent + "".join(f"{cell:<{size}}  " for cell, size in zip(row, widths, strict=False))
        room = max(30, width() - len(head))
        wrapped = textwrap.wrap(row[-1], room, break_on_hyphens=False, break_long_words=False) or [""]
        lines.append((head + wrapped[0]).rstrip())
        lines += [" " * len(head) + line for line in wrapped[1:]]
    return lines


# --- the target's options --------------------------------------------------------------------------------

_OPTIONS: Mapping[str, dict[str, Any]] = {
    "--target": {"metavar": "URL", "help": "the registry's base URL (default: the bundled reference)"},
    "--target-file": {"metavar": "FILE|NAME", "help": "a target file, or a name from `seatrial targets`"},
    "--spec": {"help": "hold the target to this version of the specification"},
    "--namespace": {"default": "seatrial", "help": "all repositories are made under this name"},
    "--username": {"help": "else SEATRIAL_USERNAME, else Docker's credentials file"},
    "--password": {"help": "else SEATRIAL_PASSWORD"},
    "--ca": {"metavar": "FILE", "help": "certificate authority of the registry"},
    "--insecure": {"is_flag": True, "help": "do not verify the registry's certificate"},
    "--kill-cmd": {"metavar": "CMD", "help": "a shell command that kills the registry"},
    "--restart-cmd": {"metavar": "CMD", "help": "a shell command that starts it again"},
    "--gc-cmd": {"metavar": "CMD", "help": "a shell command that runs its collector to the end"},
    "--toxiproxy": {
        "metavar": "URL",
        "help": "a Toxiproxy on this machine (default: toxiproxy-server on PATH)",
    },
    "--promise": {"multiple": True, "metavar": "NAME=VALUE", "help": "such as collection=online"},
}


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose a registry and what may be done to it."""
    for name, settings in reversed(list(_OPTIONS.items())):
        command = click.option(name, **settings)(command)
    return command


def options_from(given: Mapping[str, Any]) -> Options:
    """The options as the value that opens a trial. Raises `OptionError`."""
    from harness.run.options import Options

    fields = {name: value for name, value in given.items() if name != "promise"}
    return Options(**fields, promises=tuple(given["promise"])).check()


def target_words(given: Mapping[str, Any]) -> str:
    """The options that name the target, as they are typed."""
    if given.get("target"):
        return f"--target {given['target']}"
    return f"--target-file {given['target_file']}" if given.get("target_file") else ""


def opened(given: Mapping[str, Any]) -> Trial:
    """A trial that the caller closes. Raises `TargetError` or `OptionError`."""
    from harness.run.trial import open_trial

    return open_trial(options_from(given))


# --- files -----------------------------------------------------------------------------------------------


def is_history(path: Path) -> bool:
    """Whether a file is a history and no scenario, by its name, else by its first character."""
    if path.suffix in (".jsonl", ".toml"):
        return path.suffix == ".jsonl"
    with path.open(errors="replace") as file:
        return file.read(1) == "{"


def scenario_from(path: Path) -> Scenario:
    """A scenario from its file. Raises `ScenarioError`, `Unusable`, `OSError`."""
    from harness.plan.codec import load

    if path.suffix != ".toml" and is_history(path):
        raise Unusable(f"{path}: a history, not a scenario; `seatrial show` and `recheck` read histories")
    try:
        return load(path.read_text(), str(path))
    except UnicodeDecodeError:
        raise Unusable(f"{path}: no scenario: it is not UTF-8 text") from None


def history_from(path: Path) -> History:
    """A history from its file. Raises `JournalError`, `Unusable`."""
    from harness.run.journal import read

    if path.suffix == ".toml":
        raise Unusable(f"{path}: a scenario, not a history; run it with `seatrial replay {path}`")
    return read(path)
