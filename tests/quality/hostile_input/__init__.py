"""Hostile requests by the thousand against a served reference registry, generated from a seed.

``python -m tests.quality.hostile_input --help``
"""
