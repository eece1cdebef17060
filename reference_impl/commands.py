"""The command line.  Most options are settings under another name: a table says which."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from . import logs
from .auth.settings import BadSettings
from .configuration import BadConfiguration, Configuration, Given, load
from .setting_keys import KEYS, show, table
from .stores import Unusable, collection_policy, shared_driver

F = TypeVar("F", bound=Callable[..., Any])
Target = str | tuple[str, bool, str]
"""A setting that an option sets: to its argument, or to the value here, which means what is said then."""

EXIT_FAILED, EXIT_BAD_SETTINGS = 1, 2
PROGRAM = "reference_impl"

_STORAGE: dict[str, Target] = {
    "--driver": "storage.driver",
    "--root": "storage.root",
    "--unsafe-no-fsync": ("storage.fsync", False, "do not sync: a power cut may lose what was acknowledged"),
}
_COLLECTION: dict[str, Target] = {
    "--grace": "collect.grace_s",
    "--delete-untagged": ("collect.delete_untagged", True, ""),
    "--session-age": "sessions.max_age_s",
}
_SERVING: dict[str, Target] = {
    "--host": "http.host",
    "--port": "http.port",
    "--tls-certificate": "http.tls_certificate",
    "--tls-key": "http.tls_key",
    "--stop-grace": "http.stop_grace_s",
    "--read-only": ("storage.read_only", True, ""),
    "--collect-every": "collect.interval_s",
    "--page-size": "limits.page_size",
    "--idle-timeout": "limits.body_idle_timeout_s",
    "--access-log": ("log.access", True, ""),
    "--log-format": "log.format",
    "--log-level": "log.level",
    "--metrics": "metrics.listen",
    "--metrics-port": "metrics.port",
}

_METAVARS = {"s": "SECONDS", "bytes": "BYTES", "port": "PORT", "root": "DIR", "host": "ADDRESS"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    try:
        result = cli.main(
            None if arguments is None else [*arguments], prog_name=PROGRAM, standalone_mode=False
        )
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except click.Abort:
        return _fail("stopped", EXIT_FAILED)
    except (BadConfiguration, BadSettings) as error:
        return _fail(str(error), EXIT_BAD_SETTINGS)
    except Unusable as error:
        return _fail(str(error), EXIT_FAILED)
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)
    return code


# -- settings as options -------------------------------------------------------------------


def settings(*tables: dict[str, Target]) -> Callable[[F], F]:
    """Give a command the options of these tables, those for any setting, and ``configuration``."""

    def decorate(command: F) -> F:
        for options in reversed(tables):
            for flag, target in reversed(options.items()):
                command = _option(flag, target)(command)
        command = click.option(
            "--set",
            metavar="KEY=VALUE",
            multiple=True,
            expose_value=False,
            callback=_set,
            help="Set any other setting.",
        )(command)
        return click.option(
            "--config",
            metavar="FILE",
            envvar="REFERENCE_CONFIG",
            expose_value=False,
            callback=_note_file,
            help="TOML file with settings; variables REFERENCE_SECTION__KEY and options overrule it.",
        )(command)

    return decorate


def _option(flag: str, target: Target) -> Callable[[F], F]:
    key, value, meaning = (target, None, "") if isinstance(target, str) else target
    about = meaning or KEYS[key].about

    def note(context: click.Context, _parameter: click.Parameter, given: str | bool | None) -> None:
        if given:
            _options(context)[key] = Given(given if value is None else value, f"option {flag}")
        elif given == "":
            _options(context)[key] = Given("", f"option {flag}")

    takes: dict[str, Any] = {"is_flag": True}
    if value is None:
        takes = {"metavar": _METAVARS.get(key.rpartition("_")[2].rpartition(".")[2])}
    return click.option(
        flag, expose_value=False, callback=note, help=f"{about[:1].upper()}{about[1:]}.", **takes
    )


def _set(context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> None:
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set {text}: not of the form KEY=VALUE")
        _options(context)[key] = Given(value, f"option --set {key}")


def _note_file(context: click.Context, _parameter: click.Parameter, given: str | None) -> None:
    context.meta[_FILE] = given


def _options(context: click.Context) -> dict[str, Given]:
    found: dict[str, Given] = context.meta.setdefault(_OPTIONS, {})
    return found


_FILE, _OPTIONS = f"{__name__}.file", f"{__name__}.options"


def configuration() -> Configuration:
    """The settings of the command that runs.  Raises BadConfiguration."""
    context = click.get_current_context()
    return load(context.meta[_FILE], _options(context))


# -- deviations ----------------------------------------------------------------------------


def deviating(command: F) -> F:
    """Give a command the options that make the reference defective, or different, on purpose."""
    for flag, about in (("--variant", "Differ lawfully"), ("--defect", "Have a defect on purpose")):
        command = click.option(
            flag, metavar="NAME[,NAME]", multiple=True, expose_value=False, callback=_deviate,
            help=f"{about}: for those who test harnesses.",
        )(command)  # fmt: skip
    return command


def _deviate(_context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> None:
    names = [name for text in given for name in text.split(",") if name]
    if not names:
        return
    from .deviations import Deviation, announce, put_in

    table: Mapping[str, Deviation]
    if parameter.name == "defect":
        from .defects import DEFECTS as table
    else:
        from .variants import VARIANTS as table
    for name in names:
        if name not in table:
            near = difflib.get_close_matches(name, table, 1)
            hint = f"; did you mean {near[0]}?" if near else f": see {PROGRAM} {parameter.name}s"
            raise click.UsageError(f"--{parameter.name} {name}: there is none of that name{hint}")
    chosen = [table[name] for name in dict.fromkeys(names)]
    put_in(chosen)
    announce(chosen)


# -- commands ------------------------------------------------------------------------------


@click.group(
    help="A reference OCI registry.",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    pass


@cli.command(help="Serve a registry over HTTP.")
@settings(_STORAGE, _SERVING, _COLLECTION)
@deviating
def serve() -> int:
    from .service import run

    chosen = configuration()
    logs.configure(chosen.settings.log.level, chosen.settings.log.format)
    return run(chosen)


@cli.command(help="Remove content that nothing refers to; also while a server runs.")
@settings(_STORAGE, _COLLECTION)
@deviating
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "form", flag_value="json", help="Only say what it came to, as JSON.")
@click.option("--json-lines", "form", flag_value="json-lines", help="Say each step, as JSON.")
@click.option("--quiet", is_flag=True, help="Leave out what there is very much of.")
@click.option("--progress/--no-progress", default=None, help="Show on standard error how far it is.")
@click.option("--pause-at", metavar="STEP[:N]", multiple=True, help="Stand still there until a line comes.")
@click.option("--control-fd", metavar="FD", type=int, default=0, help="Where that line comes from.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=0.0,
    help="Let another collector end first.",
)
def collect(
    dry_run: bool,
    form: str | None,
    quiet: bool,
    progress: bool | None,
    pause_at: tuple[str, ...],
    control_fd: int,
    wait: float,
) -> int:
    from .collect.command import Output, collect_from_command_line, pause

    chosen = configuration()
    if chosen.settings.storage.read_only:
        raise chosen.fault("storage.read_only", "a collector writes")
    try:
        pauses = tuple(pause(text) for text in pause_at)
    except ValueError as error:
        raise click.UsageError(f"--pause-at: {error}") from None
    policy = collection_policy(chosen.settings, grace_s=0.0, dry_run=dry_run)
    output = Output(form or "lines", quiet, progress, pauses, control_fd)
    return collect_from_command_line(shared_driver(chosen, "collect"), policy, output, wait_s=wait)


@cli.command(help="Read a whole store, and say what is wrong with it; also while a server runs.")
@settings(_STORAGE)
@click.option("--quick", is_flag=True, help="Hash manifests only.")
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="That hash.")
@click.option("--json", "form", flag_value="json", help="Say it as JSON.")
@click.option("--progress/--no-progress", default=None, help="Show on standard error how far it is.")
def check(quick: bool, threads: int, form: str | None, progress: bool | None) -> int:
    from .collect.check import check_from_command_line

    driver = shared_driver(configuration(), "check", read_only=True)
    return check_from_command_line(
        driver, quick=quick, threads=threads, form="json" if form else "lines", progress=progress
    )


@cli.command(help="Show the settings in force, without secrets, and where each is from.")
@settings(_STORAGE, _SERVING, _COLLECTION)
@click.option("--table", "as_table", is_flag=True, help="Show which settings there are, in Markdown.")
def config(as_table: bool) -> None:
    if as_table:
        click.echo(table(), nl=False)
    else:
        chosen = configuration()
        click.echo(show(chosen.settings, chosen.source), nl=False)


@cli.command(help="Show the defects that --defect can put in.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")
def defects(as_json: bool) -> None:
    from .defects import DEFECTS

    if as_json:
        told = ("name", "title", "kind", "sources", "violates", "needs")
        click.echo(json.dumps([{key: getattr(one, key) for key in told} for one in DEFECTS.values()]))
        return
    for one in DEFECTS.values():
        click.echo(f"{one.kind}  {one.name:<32} {one.title} ({'; '.join(one.sources)})")


@cli.command(help="Show the lawful differences that --variant can put in.")
def variants() -> None:
    from .variants import VARIANTS

    for one in VARIANTS.values():
        click.echo(f"{one.name:<32} {one.title} ({'; '.join(one.allowed_by)})")


@cli.command("hash-password", help="Ask for a password, and print a line for the htpasswd file.")
@click.argument("name")
@click.option("--cost", type=click.IntRange(4, 16), default=10, show_default=True, help="Of bcrypt.")
def hash_password(name: str, cost: int) -> None:
    from .auth.htpasswd import entry

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    try:
        click.echo(entry(name, password, cost))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
