"""The command ``seatrial``."""

from __future__ import annotations

from harness.cli.base import Commands
from harness.cli.crashes import enumerate_
from harness.cli.demo import demo
from harness.cli.scenarios import export, recheck, replay, show
from harness.cli.tables import doctor, operations, plans, rows, run, targets

main = Commands(
    "seatrial",
    help="Puts a container registry through its sea trials. Exit: 0 held, 1 violated, 4 unusable.",
    commands=[run, demo, doctor, enumerate_, replay, show, recheck, export, plans, operations, rows, targets],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

__all__ = ["main"]
