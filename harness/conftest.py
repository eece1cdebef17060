"""Brings the options and fixtures of `pytest harness`; they live in `harness/plugin.py`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    from harness import plugin

    if not pluginmanager.has_plugin("seatrial-options"):
        pluginmanager.register(plugin, "seatrial-options")
