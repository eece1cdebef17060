"""What pytest loads everywhere: it adds nothing unless `pytest --pyargs harness` was asked for.

In a checkout, `harness/conftest.py` brings the plugin; after an installation pytest does not read a
package's conftest early enough for its options, so this does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

OURS = ("harness", "scenarios")


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    if "--pyargs" not in args or early_config.pluginmanager.has_plugin("seatrial-options"):
        return
    if any(arg.split("::")[0].split(".")[0] in OURS for arg in args):
        from harness import plugin

        early_config.pluginmanager.register(plugin, "seatrial-options")
