"""Families: each reaches what its property is about, and asks for nothing that a target cannot do."""

from __future__ import annotations

import pytest

from harness.checkers.protocol.cases import CASES
from harness.history import Abilities
from harness.machines import FAMILIES, Scope
from harness.machines.families import RULES, machine_for
from harness.plan.kinds import KINDS
from tests.unit.machines.scopes import (
    BLACK_BOX,
    EVERYTHING,
    HAZARD,
    NOTHING,
    OFFLINE,
    coverage,
    plans,
)

REACHED: dict[str, str] = {
    "P1": """
        blob.pull first; blob.pull last; blob.head; manifest.get; manifest.head; image.pull; blob.push
        declare; blob.push way=post; blob.push way=put; blob.push way=chunked; blob.push way=stream;
        sha512; kind index; manifest as blob; size 0; size 1; size 4097; blob.mount; quiet""",
    "P2": """
        kind index; blob.mount; blob.delete; manifest.delete; collect alone; collect untagged; hold
        collect; collect beside; image.pull; closing restart; closing read; hold until put; kind
        artifact""",
    "P3": """
        kill; restart; hold upload.patch; hold blob.push; hold manifest.put; hold until kill; again;
        quiet; cut manifest.put; blob.push recover; closing restart; power; strike kill; strike power;
        strike enospc""",
    "P4": """
        manifest.put with; manifest.get times; manifest.head times; lanes 2; lanes 3; tags.list;
        tag.delete; manifest.put tags""",
    "P5": """
        blob.delete; manifest.delete; tag.delete; restart; blob.pull; manifest.get; quiet; closing
        restart""",
    "P6": """
        upload.start; upload.patch; upload.status; upload.finish; upload.finish claim; upload.cancel; again;
        upload.patch claim; upload.patch range; upload.finish declare; upload.finish first; cut upload.patch;
        cut in head; cut in body; cut in answer; cut by close; cut by reset; cut by half; hold upload.patch;
        lanes 2""",
    "P7": """
        tags.list n; tags.list last; tags.list pages; tags.list times; referrers.list type;
        referrers.list pages; kind artifact; tag.delete""",
    "P8": """
        blob.mount; blob.mount from; blob.mount fallback; upload.start; upload.finish; blob.pull;
        blob.delete; lanes 2""",
    "P9": """
        blob.delete; manifest.delete; collect alone; collect untagged; blob.pull; image.pull; kind
        index""",
    "P10": """
        collect alone; collect untagged; kind index; manifest.delete; hold collect; blob.delete;
        tag.delete""",
    "P11": """
        pause; continue; hold until continue; hold until pause; kill; hold blob.push; upload.patch;
        manifest.put; cut blob.push""",
    "P12": """
        lanes 1; blob.push; upload.start; manifest.get; tags.list; referrers.list; kind artifact""",
}
"""What each family has to show in 60 plans."""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_reaches_what_its_property_is_about(family: str) -> None:
    found = coverage(plans(family))
    wanted = [" ".join(trait.split()) for trait in REACHED[family].split(";")]
    assert [trait for trait in wanted if not found[trait]] == []


def test_every_kind_is_drawn_by_some_family() -> None:
    pytest.importorskip("harness.machines.requests")
    drawn = {op.do for family in FAMILIES for plan in plans(family, examples=15) for op in plan}
    assert sorted(set(KINDS) - drawn) == []


SCOPES: dict[str, Scope] = {
    "everything": EVERYTHING,
    "offline": OFFLINE,
    "hazard": HAZARD,
    "black box": BLACK_BOX,
    "nothing": NOTHING,
    "kill without restart": Scope(Abilities(BLACK_BOX.abilities.supports, frozenset({"kill"}))),
}


@pytest.mark.parametrize("name", SCOPES)
def test_nothing_is_drawn_that_the_target_cannot_do(name: str) -> None:
    scope = SCOPES[name]
    can = scope.abilities.can
    for family in FAMILIES:
        for plan in plans(family, scope, examples=6):
            assert plan.closing == "read" or can("restart")
            for op in plan:
                assert can(KINDS[op.do].needs), op
                assert op.do not in ("kill", "power") or can("restart"), op
                assert op.strike is None or (can("syscall") and can("restart")), op
                assert op.strike is None or op.strike.act != "power" or can("power"), op
                assert op.get("side") != "backend" or can("net.backend"), op
                assert op.do != "referrers.list" or can("referrers"), op
                assert op.do != "upload.status" or can("upload-status"), op
                assert op.do != "upload.patch" or can("chunked"), op
                assert op.get("way") not in ("chunked", "stream") or can("chunked"), op
                assert op.get("tags") is None or can("tag-params"), op
                beside = op.hold is not None or op.get("online")
                assert op.do != "collect" or not beside or scope.collects_online, op
                assert op.do != "collect" or beside or scope.collects_offline, op
            for spec in plan.blobs.values():
                assert spec.alg == "sha256" or can("sha512")
            for manifest in plan.manifests.values():
                assert manifest.kind != "index" or can("index")
                assert manifest.docker or can("oci") or manifest.kind == "artifact"


def test_an_offline_collector_is_run_beside_pushes_only_as_a_hazard() -> None:
    assert not coverage(plans("P2", OFFLINE, examples=20))["collect beside"]
    assert coverage(plans("P2", HAZARD, examples=20))["collect beside"]
    assert not coverage(plans("P2", Scope(OFFLINE.abilities), examples=20))["collect"]


def test_every_feature_of_a_family_is_known_to_its_machine() -> None:
    known = {feature for features in RULES.values() for feature in features}
    for family in FAMILIES.values():
        assert not set(family.features) - known
        machine = machine_for(family)
        for group, features in RULES.items():
            if set(features) & set(family.features):
                assert issubclass(machine, group)


def test_every_feature_is_used_by_a_family() -> None:
    used = {feature for family in FAMILIES.values() for feature in family.features}
    assert {feature for features in RULES.values() for feature in features} == used


def test_families_differ() -> None:
    shares = {}
    for family in ("P4", "P6", "P10"):
        ops = [op.do for plan in plans(family, examples=30) for op in plan]
        shares[family] = {kind: ops.count(kind) / len(ops) for kind in ("upload.patch", "collect")}
    assert shares["P6"]["upload.patch"] > 3 * shares["P4"]["upload.patch"]
    assert shares["P10"]["collect"] > 2 * shares["P6"]["collect"]


def test_plans_about_requests_go_through_all_of_them() -> None:
    sent = {op["case"] for plan in plans("P12", examples=20) for op in plan if op.do == "request"}
    asked = {case.name for case in CASES.values() if EVERYTHING.abilities.can(case.needs)}
    assert sent == asked


def test_what_a_family_is_about_and_what_is_seldom_on_comes_up_more_often() -> None:
    deletion = FAMILIES["P5"]
    assert deletion.weight("tag-delete") > deletion.weight("push") == 1.0
    assert deletion.weight("collect") > deletion.weight("repush") > deletion.weight("push")
    for family in FAMILIES.values():
        assert family.core <= set(family.features), family.property
