"""What is kept on disk: histories of findings, scenario files, the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.history import History


@dataclass
class Keeper:
    """``out/history/`` holds the history of the plan that runs now (so that a harness that is killed leaves
    it) and of every plan that showed something; ``out/scenarios/`` and
    ``out/transcripts/`` have a file for each finding."""

    out: Path
    worker: str = ""
    _number: int = 0

    def current(self) -> Path:
        return self.out / "history" / f"current{self.worker}.jsonl"

    def keep(self, history: History, name: str = "") -> Path | None:
        """Give the current history a name of its own: that of a finding, or its plan's."""
        path = self.current()
        if not path.exists():
            return None
        kept = path.with_name(f"{name or history.plan.digest[:12]}{self.worker}.jsonl")
        path.replace(kept)
        return kept

    def transcribe(self, id_: str, text: str) -> Path:
        """Keep the requests that prove a finding, as commands."""
        folder = self.out / "transcripts"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{id_}.sh"
        path.write_text(text)
        return path

    def hints(self, id_: str) -> str:
        """Lines that say where a finding's requests are."""
        path = self.out / "transcripts" / f"{id_}.sh"
        return f"\n  with curl: {path}" if path.exists() else ""

    def save(self, id_: str, text: str) -> Path:
        folder = self.out / "scenarios"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{id_}.toml"
        path.write_text(text)
        return path
