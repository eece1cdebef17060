"""Which plans are drawn for which property: one row for each, and the machine that follows from it."""

from __future__ import annotations

from functools import cache

from harness.machines.accidents import AccidentRules
from harness.machines.base import Family, PlanMachine
from harness.machines.blobs import BlobRules
from harness.machines.collections import CollectionRules
from harness.machines.deletions import DeletionRules
from harness.machines.faults import FaultRules
from harness.machines.listings import ListingRules
from harness.machines.manifests import ManifestRules
from harness.machines.protocol import RequestRules
from harness.machines.tags import TagRules
from harness.machines.uploads import UploadRules

RULES: dict[type[PlanMachine], tuple[str, ...]] = {
    BlobRules: (
        "push",
        "again-elsewhere",
        "wrong-digest",
        "manifest-as-blob",
        "mount",
        "blob-reads",
        "ranges",
        "foreign-reads",
    ),
    UploadRules: (
        "sessions",
        "out-of-order",
        "refused-commit",
        "two-committers",
        "same-blob-twice",
        "after-end",
        "foreign-session",
        "cancel",
    ),
    ManifestRules: (
        "images",
        "indexes",
        "nested",
        "lonely-index",
        "artifacts",
        "incomplete",
        "large-manifests",
        "tag-params",
        "same-manifest",
        "manifest-reads",
        "pulls",
    ),
    TagRules: ("moves", "storms", "duels", "unknown-tags"),
    DeletionRules: ("blob-delete", "manifest-delete", "tag-delete", "missing-reads", "repush"),
    ListingRules: ("tag-lists", "many-tags", "pages", "list-storms", "referrers"),
    FaultRules: ("cut", "again", "hold", "kill", "restart", "pause"),
    AccidentRules: ("power", "strike", "disk", "slow", "damage", "limits", "weather"),
    CollectionRules: ("collect", "collect-online", "collect-untagged", "garbage", "odd-stores", "quiet"),
    RequestRules: ("requests",),
}
"""The features that each group of rules knows."""

LEVELS: dict[str, float] = {"always": 1.0, "often": 0.75, "sometimes": 0.45, "seldom": 0.2}
"""How probable it is that a feature is on in a plan."""


def _features(**levels: str) -> dict[str, float]:
    return {feature: LEVELS[level] for level, features in levels.items() for feature in features.split()}


FAMILIES: dict[str, Family] = {
    family.property: family
    for family in (
        Family(
            "P1",
            "content addressing",
            _features(
                always="push images blob-reads manifest-reads",
                often="ranges",
                sometimes="pulls wrong-digest again-elsewhere manifest-as-blob indexes mount",
                seldom="damage artifacts large-manifests cut again blob-delete repush quiet",
            ),
        ),
        Family(
            "P2",
            "closure",
            _features(
                always="images pulls push collect",
                often="indexes nested collect-untagged collect-online",
                sometimes="strike artifacts again-elsewhere same-manifest mount blob-delete manifest-delete"
                " repush garbage lonely-index quiet damage",
                seldom="power manifest-as-blob incomplete moves tag-delete hold kill restart",
            ),
            restart_closing=0.4,
            core=frozenset({"collect", "collect-online", "lonely-index"}),
        ),
        Family(
            "P3",
            "durability",
            _features(
                always="push images strike",
                often="power kill",
                sometimes="restart cut again sessions moves mount indexes manifest-reads blob-reads quiet",
                seldom="disk refused-commit wrong-digest artifacts blob-delete manifest-delete tag-delete"
                " repush collect",
            ),
            restart_closing=0.6,
        ),
        Family(
            "P4",
            "tags are registers",
            _features(
                always="images moves",
                often="storms",
                sometimes="strike duels manifest-reads unknown-tags same-manifest tag-params tag-lists"
                " tag-delete",
                seldom="indexes list-storms manifest-delete cut again hold kill quiet",
            ),
            lanes=(2, 3),
            steps=(6, 18),
            core=frozenset({"moves", "duels"}),
        ),
        Family(
            "P5",
            "deletion",
            _features(
                always="push images blob-delete manifest-delete tag-delete",
                often="missing-reads mount indexes",
                sometimes="repush same-manifest again-elsewhere artifacts manifest-reads"
                " blob-reads tag-lists restart power",
                seldom="strike referrers moves again hold collect kill quiet",
            ),
            restart_closing=0.5,
            core=frozenset({"blob-delete", "manifest-delete", "tag-delete"}),
        ),
        Family(
            "P6",
            "upload sessions",
            _features(
                always="sessions push",
                often="out-of-order refused-commit after-end",
                sometimes="two-committers same-blob-twice cancel cut again blob-reads foreign-session weather"
                " hold",
                seldom="strike disk collect wrong-digest mount blob-delete kill restart pause quiet",
            ),
            core=frozenset({"sessions", "cut", "cancel", "refused-commit", "two-committers"}),
        ),
        Family(
            "P7",
            "listing",
            _features(
                always="images tag-lists pages",
                often="referrers many-tags",
                sometimes="list-storms artifacts moves same-manifest tag-delete manifest-delete"
                " collect-untagged quiet",
                seldom="tag-params indexes unknown-tags repush collect kill restart",
            ),
            core=frozenset({"tag-lists", "referrers"}),
        ),
        Family(
            "P8",
            "isolation",
            _features(
                always="push foreign-reads foreign-session",
                often="images sessions mount",
                sometimes="again-elsewhere same-manifest blob-delete manifest-delete missing-reads",
                seldom="tag-lists referrers collect restart quiet",
            ),
            core=frozenset({"foreign-reads", "foreign-session"}),
        ),
        Family(
            "P9",
            "healing",
            _features(
                always="push images repush blob-delete manifest-delete",
                often="collect",
                sometimes="damage disk missing-reads indexes tag-delete same-manifest again-elsewhere pulls"
                " blob-reads collect-untagged garbage cut",
                seldom="artifacts mount again kill restart quiet",
            ),
            core=frozenset({"repush", "blob-delete", "manifest-delete"}),
        ),
        Family(
            "P10",
            "collection works",
            _features(
                always="collect garbage",
                often="strike",
                sometimes="damage odd-stores collect-untagged push images indexes lonely-index"
                " again-elsewhere blob-delete manifest-delete tag-delete pulls quiet",
                seldom="collect-online nested artifacts incomplete manifest-as-blob sessions cut kill"
                " restart repush",
            ),
            core=frozenset({"collect"}),
        ),
        Family(
            "P11",
            "availability",
            _features(
                always="push",
                often="requests pause",
                sometimes="disk limits weather slow images kill cut again hold sessions pages",
                seldom="restart out-of-order after-end large-manifests incomplete nested indexes ranges"
                " tag-lists storms blob-delete manifest-delete collect quiet",
            ),
        ),
        Family(
            "P12",
            "protocol",
            _features(
                always="requests push",
                often="images pages",
                sometimes="sessions cancel wrong-digest mount blob-reads ranges foreign-reads"
                " manifest-reads unknown-tags indexes artifacts incomplete tag-params tag-lists"
                " referrers blob-delete manifest-delete tag-delete missing-reads",
                seldom="out-of-order refused-commit after-end lonely-index large-manifests pulls again",
            ),
            lanes=(1, 1),
        ),
    )
}


def machine_for(family: Family) -> type[PlanMachine]:
    """The machine class of a family: all groups of rules of which it uses a feature."""
    return _machine(family.property, tuple(family.features))


@cache
def _machine(name: str, features: tuple[str, ...]) -> type[PlanMachine]:
    groups = [group for group, known in RULES.items() if any(feature in known for feature in features)]
    needed = [
        group
        for group in groups
        if not any(other is not group and issubclass(other, group) for other in groups)
    ]
    return type(f"{name}Machine", tuple(needed), {})
