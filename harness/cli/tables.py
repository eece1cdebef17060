"""Commands that list: what can be done here, what a plan can say, what is drawn; and running everything."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.base import (
    HELD,
    Unusable,
    columns,
    opened,
    options_from,
    show_text,
    target_options,
    width,
)


@click.command()
@target_options
def doctor(**given: Any) -> int:
    """What this machine and the target allow, what will be skipped, and why."""
    from harness.faults import network
    from harness.run.kit import TIERS
    from harness.targets import doctor as ask
    from harness.targets.probe import Probed

    options = options_from(given)
    tiers = []
    for name, tier in TIERS.items():
        asked = name == "network" and options.toxiproxy is not None
        why = network.available(options.toxiproxy) if asked else tier.available()
        tiers.append(ask.Row("tier", name, why is None, tier.use if why is None else f"skipped; {why}"))
    groups = [
        ("This machine", ask.machine()),
        ("Tiers of faults", tiers),
        ("Known registries", ask.catalogue()),
    ]
    if given["target"] or given["target_file"]:
        trial = opened(given)
        try:
            probed = Probed(trial.abilities.supports, trial.reasons)
            rows = ask.target(trial.target, probed)
            rows += [
                ask.Row("tier", name, False, f"skipped; {why}") for name, why in trial.kit.missing.items()
            ]
            groups.append((f"{trial.target.name} at {trial.target.url}", rows))
        finally:
            trial.close()
    lines = []
    for title, rows in groups:
        lines += [title, *columns([("✓" if row.available else "–", row.what, row.note) for row in rows]), ""]
    show_text("\n".join(lines).rstrip())
    return HELD


@click.command()
@click.argument("kind", required=False)
def operations(kind: str | None) -> int:
    """What an operation of a plan can do (generated from the table that runs it)."""
    from harness.plan.kinds import KINDS

    if kind is not None and kind not in KINDS:
        raise Unusable(f"there is no operation {kind!r}; there are: {', '.join(KINDS)}")
    lines = []
    for row in KINDS.values():
        if kind not in (None, row.name):
            continue
        needs = f"   (needs {row.needs})" if row.needs else ""
        arguments = "  ".join(f"{a.name}{'!' if a.required else ''}:{a.type}" for a in row.args)
        lines += [f"{row.name}   {row.actor}{needs}", *columns([(arguments or "no arguments",)])]
        lines += [*columns([(row.doc,)], "    "), ""]
    lines.append("An argument with ! is required. `a|b`: one of these; strs, ints: lists.")
    show_text("\n".join(lines))
    return HELD


@click.command()
@click.option("--level", type=click.Choice(("must", "should", "may", "note")), help="only these")
def rows(level: str | None) -> int:
    """The rows of the specification, and how each is checked."""
    from harness.checkers.protocol.rows import ROWS

    table = []
    for row in ROWS.values():
        if level in (None, row.level):
            how = row.how + (f" {row.by}" if row.by else "")
            why = f" [not checked: {row.why_none}]" if row.why_none else ""
            table.append((str(row.number), row.level, row.since, how, row.words + why))
    show_text("\n".join(columns([("row", "level", "since", "checked", "what"), *table])))
    return HELD


@click.command()
def targets() -> int:
    """The registries that the harness knows how to start (`--target-file NAME`)."""
    from harness.targets.doctor import catalogue

    found = [("✓" if row.available else "–", row.what, row.note) for row in catalogue()]
    show_text("\n".join(columns(found) or ["  the catalogue is empty"]))
    return HELD


@click.command()
@click.option("--family", default="P1", help="P1 … P12 (default: P1)")
@click.option("--seed", default=0, type=click.IntRange(0), help="as in `seatrial run` (default: 0)")
@click.option("--count", default=10, type=click.IntRange(1, 10_000), help="how many (default: 10)")
@click.option("--draw", "drawn", is_flag=True, help="draw their lanes, too")
def plans(family: str, seed: int, count: int, drawn: bool) -> int:
    """Draw plans and print their digests, without running them. Equal seeds draw equal plans.

    They are drawn for a target that can do everything; for yours, `seatrial run` leaves out what it cannot.
    """
    from harness.history import ABILITIES, Abilities, Promises
    from harness.machines import FAMILIES, Scope, draw
    from harness.plan.plan import Plan
    from harness.report import lanes
    from harness.run.campaign import seed_of

    if family not in FAMILIES:
        raise Unusable(f"--family {family!r} is unknown; it is one of: {', '.join(FAMILIES)}")
    controls = frozenset({"kill", "restart", "pause", "collect"})
    able = Abilities(frozenset(ABILITIES), controls)
    scope = Scope(able, Promises(collection="offline"), frozenset({"wire", "process"}))
    found: list[Plan] = []
    draw(family, seed=seed_of(seed, family, 0), examples=count, scope=scope, run=found.append)
    for plan in found:
        kinds = ", ".join(dict.fromkeys(op.do for op in plan))
        clients = f"{len(plan.lanes)} lane{'s' if len(plan.lanes) != 1 else ' '}"
        line = f"{plan.digest[:12]}  {len(plan):>3} operations  {clients}  {kinds}"
        show_text(f"{line}\n\n{lanes.draw(plan, width=width())}\n" if drawn else line)
    return HELD


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> int:
    """All trials: the same as `pytest --pyargs harness …`, with the same options."""
    from importlib.metadata import entry_points

    import pytest

    installed = any(point.value == "harness.entry" for point in entry_points(group="pytest11"))
    # In a checkout that is not installed, nobody has told pytest of the options.
    options = [] if installed else ["-p", "harness.entry"]
    return int(pytest.main([*options, "--pyargs", "harness", *arguments]))
