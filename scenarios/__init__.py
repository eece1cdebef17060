"""Replayable scenario files, by class. `pytest scenarios` replays them; the directory is data."""
