"""The draft: edges, windows, and what may be there."""

from __future__ import annotations

import pytest

from harness.model.draft import Draft
from harness.plan.content import EMPTY_JSON, BlobSpec, ManifestSpec
from harness.plan.operation import Hold, Place
from harness.plan.plan import PlanError


def push(draft: Draft, lane: int, blob: str = "", repo: str = "x") -> str:
    blob = blob or draft.new_blob(BlobSpec(64))
    return draft.add("blob.push", lane, {"repo": repo, "blob": blob})


def test_a_reader_in_another_lane_waits_for_the_writer_unless_they_race() -> None:
    draft = Draft(2)
    written = push(draft, 1)
    blob = draft.operation(written)["blob"]
    read = draft.add("blob.pull", 2, {"repo": "x", "blob": blob})
    same = draft.add("blob.pull", 1, {"repo": "x", "blob": blob})
    racing = draft.add("blob.pull", 3, {"repo": "x", "blob": blob}, race=True)
    assert draft.operation(read).after == (written,)
    assert draft.operation(same).after == ()
    assert draft.operation(racing).after == ()


def test_edges_that_others_imply_are_left_out() -> None:
    draft = Draft(3)
    first = push(draft, 1)
    second = draft.add("blob.pull", 2, {"repo": "x", "blob": "b1"})
    third = draft.add("blob.head", 3, {"repo": "x", "blob": "b1"}, after=(second,))
    assert draft.operation(second).after == (first,)
    assert draft.operation(third).after == (second,)
    draft.add("quiet", "operator")
    fourth = draft.add("blob.head", 1, {"repo": "x", "blob": "b1"}, after=(third,))
    assert draft.operation(fourth).after == ()


def test_a_manifest_waits_for_its_blobs_and_children() -> None:
    draft = Draft(3)
    layer, config = push(draft, 1), push(draft, 2)
    image = draft.new_manifest(ManifestSpec("image", "b2", ("b1",)))
    put = draft.add("manifest.put", 3, {"repo": "x", "manifest": image, "tag": "t"})
    index = draft.new_manifest(ManifestSpec("index", children=(image,)))
    listed = draft.add("manifest.put", 1, {"repo": "x", "manifest": index})
    assert set(draft.operation(put).after) == {layer, config}
    assert draft.operation(listed).after == (put,)
    assert draft.tags == {("x", "t"): image}


def test_a_session_never_starts_in_the_middle() -> None:
    draft = Draft(2)
    start = draft.add("upload.start", 1, {"repo": "x", "upload": "u1"})
    blob = draft.new_blob(BlobSpec(10_000))
    args = {"repo": "x", "upload": "u1", "blob": blob}
    patch = draft.add("upload.patch", 1, {**args, "first": 0, "size": 4097})
    racing = draft.add("upload.finish", 2, args, race=True)
    assert draft.sessions["u1"].offset == 4097
    assert draft.operation(racing).after == (start,)
    assert patch in [op.id for op in draft.operations]


def hold_push(draft: Draft, lane: int, wanted: int) -> str:
    blob = draft.new_blob(BlobSpec(4097))
    id_ = draft.new_id("push")
    hold = Hold(id_, Place("put", 1, "body", 9))
    draft.add("blob.push", lane, {"repo": "x", "blob": blob, "way": "put"}, hold=hold, id=id_)
    draft.open_window(id_, wanted)
    return id_


def test_a_window_closes_with_the_last_operation_in_it() -> None:
    draft = Draft(2)
    holder = hold_push(draft, 1, 2)
    inside = [push(draft, 2), push(draft, 2)]
    after = push(draft, 2)
    plan = draft.build()
    hold = plan[holder].hold
    assert hold is not None
    assert hold.until == inside[-1]
    assert plan[inside[0]].after == (f"{holder}.held",)
    assert plan[after].after == ()


def test_a_window_prefers_its_releases() -> None:
    draft = Draft(2)
    draft.add("collect", "collector", hold=Hold("collect", None, "blobs marked"), id="collect")
    draft.open_window("collect", 3, ("manifest.put",))
    push(draft, 1)
    image = draft.new_manifest(ManifestSpec("image", "b1"))
    put = draft.add("manifest.put", 1, {"repo": "x", "manifest": image})
    draft.add("manifest.get", 1, {"repo": "x", "manifest": image})
    hold = draft.build()["collect"].hold
    assert hold is not None
    assert hold.until == put


@pytest.mark.parametrize("ends", ["barrier", "own lane", "end"])
def test_nobody_stands_still_for_nothing(ends: str) -> None:
    draft = Draft(2)
    holder = hold_push(draft, 1, 2)
    if ends == "barrier":
        draft.add("quiet", "operator")
    elif ends == "own lane":
        push(draft, 1)
    plan = draft.build()
    assert plan[holder].hold is None


def test_what_stands_still_is_not_waited_for_by_what_releases_it() -> None:
    draft = Draft(2)
    holder = hold_push(draft, 1, 1)
    blob = draft.operation(holder)["blob"]
    deleted = draft.add("blob.delete", 2, {"repo": "x", "blob": blob})
    assert draft.build()[deleted].after == (f"{holder}.held",)


def test_deleting_a_manifest_takes_its_tags_away() -> None:
    draft = Draft()
    push(draft, 1)
    image = draft.new_manifest(ManifestSpec("image", "b1"))
    draft.add("manifest.put", 1, {"repo": "x", "manifest": image, "tag": "t"})
    draft.add("manifest.put", 1, {"repo": "y", "manifest": image, "tag": "t"})
    draft.add("manifest.delete", 1, {"repo": "x", "manifest": image})
    assert draft.tags == {("y", "t"): image}
    assert list(draft.missing_manifests) == [("x", image)]
    assert list(draft.held) == [("y", image)]


def test_a_collection_may_remove_what_nothing_references() -> None:
    draft = Draft()
    push(draft, 1)
    push(draft, 1)
    image = draft.new_manifest(ManifestSpec("image", "b1"))
    draft.add("manifest.put", 1, {"repo": "x", "manifest": image})
    assert draft.unused() == [("x", "b2")]
    draft.add("collect", "collector")
    assert list(draft.missing) == [("x", "b2")]
    draft.add("collect", "collector", {"untagged": True})
    assert list(draft.missing_manifests) == [("x", image)]
    assert draft.unused() == []


def test_an_index_keeps_its_children_tagged() -> None:
    draft = Draft()
    image = draft.new_manifest(ManifestSpec("artifact"))
    draft.add("manifest.put", 1, {"repo": "x", "manifest": image})
    assert draft.needed(image) == (EMPTY_JSON,)
    assert draft.untagged() == [("x", image)]
    index = draft.new_manifest(ManifestSpec("index", children=(image,)))
    draft.add("manifest.put", 1, {"repo": "x", "manifest": index, "tag": "t"})
    assert draft.untagged() == []


def test_a_plan_that_waits_for_itself_is_refused() -> None:
    draft = Draft(2)
    id_ = draft.new_id("push")
    blob = draft.new_blob(BlobSpec(64))
    hold = Hold("late", Place("put", 1, "body", 1))
    draft.add("blob.push", 1, {"repo": "x", "blob": blob}, hold=hold, id=id_)
    draft.add("blob.head", 2, {"repo": "x", "blob": blob}, after=(id_,), id="late")
    with pytest.raises(PlanError, match="wait for each other"):
        draft.build()


def test_tiny_blobs_share_a_name() -> None:
    draft = Draft()
    assert draft.new_blob(BlobSpec(1)) == draft.new_blob(BlobSpec(1))
    assert draft.new_blob(BlobSpec(1, "sha512")) != draft.new_blob(BlobSpec(1))
    assert draft.new_blob(BlobSpec(64)) != draft.new_blob(BlobSpec(64))
