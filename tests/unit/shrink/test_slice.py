"""What a witness depends on."""

from __future__ import annotations

from itertools import pairwise

from harness.plan.content import ManifestSpec
from harness.plan.operation import Arg, Hold, Lane, Operation
from harness.plan.plan import Plan
from harness.shrink.slice import slices


def op(
    id_: str, do: str, lane: Lane = 1, after: tuple[str, ...] = (), hold: Hold | None = None, /, **args: Arg
) -> Operation:
    return Operation(id_, lane, do, {"repo": "r", **args} if "." in do else args, after, hold)


def first(*operations: Operation, witness: str, **manifests: ManifestSpec) -> set[str]:
    """The tightest slice, in which ``other`` operations are bystanders."""
    bystander = op("other", "tags.list")
    return set(next(slices(Plan((*operations, bystander), {}, manifests), witness.split())))


PUSH = op("push", "blob.push", blob="b")


def test_pull_needs_the_last_push_before() -> None:
    old, later = op("old", "blob.push", blob="b"), op("later", "blob.push", blob="b")
    assert first(old, PUSH, op("pull", "blob.pull", blob="b"), later, witness="pull") == {"push", "pull"}


def test_pull_in_another_repository_does_not() -> None:
    assert first(PUSH, op("pull", "blob.pull", blob="b", repo="q"), witness="pull") == {"pull"}


def test_image_needs_its_manifest_and_that_its_parts() -> None:
    found = first(
        PUSH,
        op("child", "manifest.put"),
        op("index", "manifest.put", tag="t"),
        op("pull", "image.pull", tag="t"),
        witness="pull",
        child=ManifestSpec(layers=("b",)),
        index=ManifestSpec(kind="index", children=("child",)),
    )
    assert found == {"push", "child", "index", "pull"}


def test_manifest_needs_its_subject() -> None:
    found = first(
        PUSH,
        op("one", "manifest.put"),
        op("two", "manifest.put"),
        witness="two",
        one=ManifestSpec(layers=("b",)),
        two=ManifestSpec(layers=("b",), subject="one"),
    )
    assert found == {"push", "one", "two"}


def test_mount_needs_its_source() -> None:
    mount = op("mount", "blob.mount", blob="b", **{"from": "q"})
    pull = op("pull", "blob.pull", blob="b")
    assert first(op("push", "blob.push", blob="b", repo="q"), mount, pull, witness="pull") == {
        "push",
        "mount",
        "pull",
    }


def test_patch_needs_its_session_and_the_patches_before() -> None:
    steps = [
        op("start", "upload.start", upload="u"),
        op("p1", "upload.patch", upload="u", blob="b", first=0, size=1),
        op("p2", "upload.patch", upload="u", blob="b", first=1, size=1),
        op("end", "upload.finish", upload="u", blob="b"),
        op("pull", "blob.pull", blob="b"),
    ]
    assert first(*steps, witness="p2") == {"start", "p1", "p2"}
    assert first(*steps, witness="pull") == {"start", "p1", "p2", "end", "pull"}


def test_again_needs_the_first_time() -> None:
    assert first(PUSH, op("again", "again", of="push"), witness="again") == {"push", "again"}


def test_holds_stay_with_what_they_hold() -> None:
    collect = op("collect", "collect", "collector", (), Hold("push", None, "x"))
    push = op("push", "blob.push", 1, ("collect.held",), blob="b")
    assert first(collect, push, witness="collect") == {"collect", "push"}
    assert first(collect, push, witness="push") == {"collect", "push"}


def test_kill_needs_its_restart() -> None:
    found = first(PUSH, op("kill", "kill"), op("restart", "restart"), op("late", "restart"), witness="kill")
    assert found == {"kill", "restart"}


def test_slices_grow_by_what_may_have_spoiled_it() -> None:
    whole = Plan(
        (
            op("early", "collect", "collector"),
            PUSH,
            op("gone", "blob.delete", blob="b", repo="q"),
            op("c1", "collect", "collector"),
            op("c2", "collect", "collector"),
            op("else", "blob.delete", blob="x"),
            op("pull", "blob.pull", blob="b"),
            op("late", "collect", "collector"),
        )
    )
    found = [set(ids) for ids in slices(whole, ("push", "pull"))]
    assert found[:3] == [
        {"push", "pull"},
        {"push", "pull", "gone", "c2"},
        {"push", "pull", "gone", "c1", "c2"},
    ]
    assert all(small < large for small, large in pairwise(found))
    assert "late" not in set().union(*found)


def test_read_back_at_the_end_makes_all_accidents_matter() -> None:
    whole = Plan((PUSH, op("list", "tags.list"), op("collect", "collect", "collector")))
    assert {"push", "collect"} in [set(ids) for ids in slices(whole, ("push", "closing.read"))]


def test_whole_plan_is_no_slice() -> None:
    assert list(slices(Plan((PUSH,)), ("push",))) == []
