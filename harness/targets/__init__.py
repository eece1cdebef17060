"""Registries under trial: at a URL, or started by the harness as a target description says."""

from harness.targets.base import Collected, LineGate, Target, TargetError
from harness.targets.command import CommandTarget
from harness.targets.docker import DockerTarget
from harness.targets.load import find_description, load_target, names
from harness.targets.url import UrlTarget

__all__ = [
    "Collected",
    "CommandTarget",
    "DockerTarget",
    "LineGate",
    "Target",
    "TargetError",
    "UrlTarget",
    "find_description",
    "load_target",
    "names",
]
