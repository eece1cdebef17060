"""The pytest plugin: options, the session's campaign, scenario files as tests, and what the user sees."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.run.options import PROFILES, SPECS, TIERS, OptionError, Options, period_s

if TYPE_CHECKING:
    from harness.report.result import RunResult
    from harness.run.campaign import Campaign

UNUSABLE = pytest.ExitCode.USAGE_ERROR
RESULT = pytest.StashKey["Merged"]()
FAMILY_TESTS = (
    *("content", "closure", "durability", "tags", "deletion", "uploads"),
    *("listing", "isolation", "healing", "collection", "availability", "protocol"),
)
WORKER_SEEDS = 1_000_003
"""Workers draw other plans than each other, and the same ones again with the same seed."""


class Merged:
    """What the session, or all workers of it, came to; filled when campaigns end."""

    def __init__(self) -> None:
        self.campaign: Campaign | None = None
        self.result: RunResult | None = None
        self.written: Path | None = None
        self.from_workers: list[dict[str, Any]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seatrial", "the registry under trial")
    add = group.addoption
    add(
        "--target",
        metavar="URL",
        help="the registry's base URL (default: the bundled reference)",
    )
    add("--target-file", metavar="FILE|NAME", help="a target file, or a name from `seatrial targets`")
    add("--profile", default="default", help=f"{', '.join(PROFILES)} (default: %(default)s)")
    add("--seed", default="0", help="what plans are drawn; the same seed draws the same plans (default: 0)")
    add(
        "--budget", metavar="60s", help="time for exploring, all properties together (default: the profile's)"
    )
    add("--spec", help=f"hold the target to this version: {', '.join(SPECS)} (default: what it declares)")
    add(
        "--namespace",
        default="seatrial",
        help="all repositories are made under this name (default: %(default)s)",
    )
    add("--username", help="else SEATRIAL_USERNAME, else Docker's credentials file")
    add("--password", help="else SEATRIAL_PASSWORD")
    add("--ca", metavar="FILE", help="certificate authority of the registry")
    add("--insecure", action="store_true", help="do not verify the registry's certificate")
    add("--kill-cmd", metavar="CMD", help="a shell command that kills the registry")
    add("--restart-cmd", metavar="CMD", help="a shell command that starts it again")
    add("--gc-cmd", metavar="CMD", help="a shell command that runs its collector to the end")
    add("--toxiproxy", metavar="URL", help="a Toxiproxy on this machine (default: toxiproxy-server on PATH)")
    add(
        "--promise",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as collection=online, resume=no",
    )
    add("--tiers", default=",".join(TIERS), help="faults that may be drawn (default: %(default)s)")
    add("--known", metavar="FILE", help="a findings.json: what it holds is shown, but no longer red")
    add(
        "--out",
        metavar="DIR",
        default="seatrial-out",
        help="findings, scenarios, histories (default: %(default)s)",
    )


def options_of(config: pytest.Config) -> Options:
    """The options of a run. Raises `OptionError`."""
    get = config.getoption
    seed = str(get("--seed"))
    if not seed.isdigit():
        raise OptionError(f"--seed {seed!r} is no number; write a whole number such as 7")
    budget = get("--budget")
    return Options(
        target=get("--target"),
        target_file=get("--target-file"),
        profile=get("--profile"),
        seed=int(seed),
        budget_s=None if budget is None else period_s(budget),
        spec=get("--spec"),
        namespace=get("--namespace"),
        username=get("--username"),
        password=get("--password"),
        ca=get("--ca"),
        insecure=get("--insecure"),
        kill_cmd=get("--kill-cmd"),
        restart_cmd=get("--restart-cmd"),
        gc_cmd=get("--gc-cmd"),
        toxiproxy=get("--toxiproxy"),
        promises=tuple(get("--promise")),
        tiers=frozenset(filter(None, get("--tiers").split(","))),
        known=get("--known"),
        strict=bool(config.getini("strict")),
        out=Path(get("--out")),
    ).check()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULT] = Merged()
    try:
        options = options_of(config)
        if options.known is not None:
            from harness.report.findings_json import Known

            Known.read(Path(options.known))
    except (OptionError, ValueError) as error:
        raise pytest.UsageError(str(error)) from None
    config.option.tbstyle = "short" if config.option.tbstyle == "auto" else config.option.tbstyle


def pytest_sessionstart(session: pytest.Session) -> None:
    hypothesis_cannot_interfere()


def hypothesis_cannot_interfere() -> None:
    """No example database: plans are drawn anew from the seed, and scenario files are what is kept."""
    from hypothesis import settings

    settings.register_profile("seatrial", database=None, deadline=None, derandomize=False)
    settings.load_profile("seatrial")


@pytest.fixture(scope="session")
def campaign(request: pytest.FixtureRequest) -> Campaign:
    """The session's campaign against the target; it is opened when the first test wants it."""
    return session_campaign(request.config)


def session_campaign(config: pytest.Config) -> Campaign:
    """The one campaign of this process. Ends the session with one line where the target cannot be used."""
    from harness.report.findings_json import Known
    from harness.run.campaign import Campaign
    from harness.run.keep import Keeper
    from harness.run.trial import open_trial
    from harness.targets.base import TargetError

    merged = config.stash[RESULT]
    if merged.campaign is not None:
        return merged.campaign
    options = options_of(config)
    worker = worker_of(config)
    if worker:
        options = replace(options, seed=options.seed + WORKER_SEEDS * (1 + int(worker.removeprefix("gw"))))
    try:
        trial = open_trial(options)
    except (TargetError, OptionError) as error:
        pytest.exit(f"seatrial: {error}", returncode=UNUSABLE)
    known = Known.read(Path(options.known)) if options.known else Known()
    merged.campaign = Campaign(trial, options, Keeper(options.out, worker), known, progress=_say(config))
    return merged.campaign


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    from harness.run import interrupt

    with interrupt.remembered():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the target, write what was found; a session in which nothing ran is never green."""
    from harness.report.findings_json import plain_result, write

    merged = session.config.stash[RESULT]
    if merged.campaign is None:
        return
    campaign = merged.campaign
    campaign.trial.close()
    if not campaign.families:
        return
    merged.result = campaign.result()
    if worker_of(session.config):
        session.config.workeroutput["seatrial"] = plain_result(merged.result)  # type: ignore[attr-defined]
        return
    merged.written = write(campaign.options.out / "findings.json", merged.result)
    if exitstatus == 0 and merged.result.exit_code != 0:
        session.exitstatus = merged.result.exit_code


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist ended: take over what it found."""
    found = getattr(node, "workeroutput", {}).get("seatrial")
    if found is not None:
        node.config.stash[RESULT].from_workers.append(found)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    from harness.report.findings_json import merge, write_plain
    from harness.report.terminal import summary

    merged = config.stash[RESULT]
    if merged.from_workers:
        path = Path(config.getoption("--out")) / "findings.json"
        write_plain(path, merge(merged.from_workers))
        terminalreporter.write_line(f"findings of {len(merged.from_workers)} workers: {path}")
    if merged.result is not None:
        terminalreporter.section("sea trials")
        for line in summary(merged.result, width=terminalreporter._tw.fullwidth):
            terminalreporter.write_line(line)
        if merged.written is not None:
            terminalreporter.write_line(f"written: {merged.written}")


def worker_of(config: pytest.Config) -> str:
    found: dict[str, str] = getattr(config, "workerinput", {})
    return found.get("workerid", "")


def _say(config: pytest.Config) -> Any:
    """A function that shows a line while a test runs."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        if reporter is None:
            return
        if capture is None:
            reporter.write_line(line)
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(line)

    return say


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """P1 first, P12 last, scenario files after them."""
    order = {f"test_{name}": number for number, name in enumerate(FAMILY_TESTS)}
    items.sort(key=lambda item: order.get(item.name, len(order)) if "harness" in item.nodeid else len(order))


def try_property(campaign: Campaign, id_: str, subtests: pytest.Subtests) -> None:
    """The body of each test of `pytest harness`: spend the family's budget, report each finding by itself."""
    from harness.report.terminal import progress_line
    from harness.report.words import explain
    from harness.run.journal import read

    found = campaign.family(id_)
    campaign.progress(progress_line(campaign.result_of(id_)))
    for one in found:
        if one.finding.red and not one.known:
            with subtests.test(msg=one.id):
                history = read(Path(one.history)) if one.history else None
                if history is not None and history.plan.digest != one.plan.digest:
                    history = None
                text = explain(one, campaign.target_option, history=history)
                pytest.fail(text + campaign.keeper.hints(one.id), pytrace=False)


# --- scenario files ---------------------------------------------------------------------------------


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    if file_path.suffix != ".toml":
        return None
    lines = [line.replace(" ", "") for line in file_path.read_text(errors="replace").splitlines()]
    # Target files have the same version key.
    if any(line.startswith("seatrial=") for line in lines) and "[serve]" not in lines:
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A scenario file: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield ScenarioItem.from_parent(self, name=self.path.stem)


class NotHeld(Exception):
    """A scenario whose property was violated."""


class ScenarioItem(pytest.Item):
    """Replays a scenario against the target; passes when nothing red is found."""

    def runtest(self) -> None:
        from harness.plan.codec import ScenarioError, load
        from harness.run.replay import replay

        try:
            scenario = load(self.path.read_text(), str(self.path))
        except ScenarioError as error:
            raise NotHeld(str(error)) from None
        campaign = session_campaign(self.config)
        played = replay(campaign.trial, scenario)
        if played.skipped:
            pytest.skip(played.skipped)
        if played.findings:
            raise NotHeld(played.words())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NotHeld):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"scenario {self.name}"
