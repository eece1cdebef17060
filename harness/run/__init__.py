"""Carrying out plans: lanes as threads, marks, holds, the journal, read-backs."""
