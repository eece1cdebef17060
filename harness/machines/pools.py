"""What names, sizes and places are drawn from: odd but legal inputs are the normal case."""

from __future__ import annotations

from harness.plan.content import ALL_MANIFEST_TYPES

KIB = 1 << 10
MIB = 1 << 20

REPOSITORIES: tuple[tuple[str, ...], ...] = (
    ("x", "x-y", "x/y"),
    ("x", "x0", "x/y"),
    ("a/b", "a/b-c", "a/b/c"),
    ("x", "x/y", "x/y/z"),
    ("app", "app__test", "app.d/x"),
    ("a--b", "a", "a_b/c.d"),
    ("0", "0/0", "00"),
    ("x", "x/tags", "x/manifests"),
    ("z", "z/blobs", "z" * 120),
    ("deep/" + "/".join("abcdefgh"), "deep", "deep/a"),
)
"""Repositories that live side by side: prefixes of each other, reserved words, long and deep names."""

TAGS: tuple[tuple[str, ...], ...] = (
    ("latest", "Latest", "lates", "latest-1"),
    ("0.1.2", "0.1.20", "0.1", "0.1.2-rc"),
    ("_x", "x", "x_", "X"),
    ("t", "t" * 128, "t" * 127, "t0"),
    ("v1", "v1.0", "v10", "v1_0"),
    ("current", "index", "link", "sha256-0"),
)
"""Tags that live side by side."""

SIZES: dict[str, tuple[tuple[float, int], ...]] = {
    "tiny": ((1, 0), (1, 1), (1, 2), (3, 16), (4, 64), (2, 17)),
    "small": ((1, 0), (1, 1), (6, 64), (5, 1000), (2, 333)),
    "page": ((2, 4095), (3, 4096), (4, 4097), (2, 64), (1, 8192), (1, 0)),
    "block": ((2, 65535), (2, 65536), (3, 65537), (2, 4097), (1, 64)),
    "mixed": ((1, 0), (1, 1), (1, 2), (4, 64), (3, 1000), (2, 4096), (3, 4097), (2, 65537), (1, 131073)),
    "large": ((1, MIB - 1), (1, MIB), (2, MIB + 1), (3, 4097), (4, 64), (0.15, 5 * MIB + 1)),
}
"""Size profiles: (weight, bytes)."""

PROFILES: tuple[tuple[float, str], ...] = (
    (2, "tiny"),
    (3, "small"),
    (3, "page"),
    (2, "block"),
    (4, "mixed"),
    (0.6, "large"),
)

HELD_SIZES: tuple[int, ...] = (4097, 8193, 65537, 65536, 1000, 131073)
"""Sizes of what a client holds in the middle of: large enough that there is a middle."""

ARTIFACT_TYPES: tuple[str, ...] = (
    "application/vnd.example.sbom",
    "application/vnd.example.sbom.v2",
    "application/vnd.example.signature+json",
)

COLLECTOR_LINES: dict[str, str] = {
    "marked": r"blobs marked",
    "manifest": r"marking manifest",
    "eligible": r"blob eligible",
}
"""Where a collector stands still: marked but nothing removed; still marking; while it removes."""

MEDIA: tuple[tuple[float, str], ...] = (
    (1, "application/vnd.oci.image.manifest.v1+json"),
    (1, "application/vnd.oci.image.index.v1+json"),
    (1, "*/*"),
    (3, ", ".join(f"{name};q=0.{9 - number}" for number, name in enumerate(ALL_MANIFEST_TYPES))),
)
"""What a client accepts in place of all types of manifests: (weight, header); at last all of them, with
weights of their own."""
