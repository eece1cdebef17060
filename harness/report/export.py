"""A scenario for people without the harness: pytest, a script with curl, or an ``.http`` file (pure)."""

from __future__ import annotations

from harness.plan.codec import Scenario
from harness.report import export_curl, export_http, export_pytest
from harness.report.requests import NotPlain, why_not_plain

FORMATS = ("pytest", "curl", "http")


def export(scenario: Scenario, form: str, target_option: str = "") -> str:
    """The text of a file. ``form`` is one of `FORMATS`; ``target_option`` (``--target URL``) is for a pytest
    file that has to call ``seatrial replay``, because the plan is more than plain requests. Raises `NotPlain`
    where ``curl`` and ``http`` cannot say it."""
    if form == "pytest":
        if why_not_plain(scenario.plan):
            return export_pytest.with_replay(scenario, target_option)
        return export_pytest.stand_alone(scenario)
    return {"curl": export_curl.script, "http": export_http.http_file}[form](scenario)


__all__ = ["FORMATS", "NotPlain", "export"]
