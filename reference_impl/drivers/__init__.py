"""Storage drivers: bytes under relative paths, with atomic replacement and locks."""
