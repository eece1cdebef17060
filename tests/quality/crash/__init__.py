"""Crashes of the reference at chosen steps, and what has to hold after each of them."""
