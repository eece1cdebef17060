"""Every simplification: done where it does not matter, left alone where it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.operation import Arg, Cut, Hold, Lane, Operation, Place
from harness.plan.plan import Plan
from harness.shrink import Budget, Shrunk, shrink
from harness.shrink.edits import resize
from harness.shrink.harden import candidates
from harness.shrink.racy import MOST_TRIES, misses_needed

from .registry import finding


def op(id_: str, do: str, lane: Lane = 1, after: tuple[str, ...] = (), **args: Arg) -> Operation:
    return Operation(id_, lane, do, {"repo": "r", **args} if "." in do else args, after)


def run(plan: Plan, matters: Callable[[Plan], bool], budget: int = 200) -> Shrunk:
    """Shrinks where all operations are needed and only ``matters`` decides besides."""
    ids = {o.id for o in plan}
    found = finding("c", tuple(ids))

    def trial(candidate: Plan) -> list[object]:
        same = {o.id for o in candidate} == ids and matters(candidate)
        return [found] if same else []

    assert trial(plan), "the plan itself must fail"
    result = shrink(plan.check(), found, trial, budget=Budget(budget, 1))  # type: ignore[arg-type]
    assert result.rate == (1, 1)
    return result


def anything(_: Plan) -> bool:
    return True


def spec(plan: Plan) -> BlobSpec:
    return plan.blobs.get("b", BlobSpec())


PUSH = op("p", "blob.push", blob="b")

ODD: dict[str, tuple[Plan, Plan, Callable[[Plan], bool]]] = {
    "size": (
        Plan((PUSH,), {"b": BlobSpec(5_000_000)}),
        Plan((PUSH,)),
        lambda p: spec(p).size_bytes > 100_000,
    ),
    "empty blob": (Plan((PUSH,), {"b": BlobSpec(0)}), Plan((PUSH,)), lambda p: spec(p).size_bytes == 0),
    "algorithm": (
        Plan((PUSH,), {"b": BlobSpec(64, "sha512")}),
        Plan((PUSH,)),
        lambda p: spec(p).alg == "sha512",
    ),
    "way": (
        Plan((op("p", "blob.push", blob="b", way="chunked", chunks=(3, 4)),)),
        Plan((PUSH,)),
        lambda p: p["p"].get("way") == "chunked",
    ),
    "closing": (Plan((PUSH,), closing="restart"), Plan((PUSH,)), lambda p: p.closing == "restart"),
    "annotations": (
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec(layers=("l",), annotations=3, pad_bytes=9)}),
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec(layers=("l",))}),
        lambda p: p.manifests["m"].annotations > 0,
    ),
    "layers": (
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec(layers=("l", "k", "j"), config="c")}),
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec(layers=("l",))}),
        lambda p: "j" in p.manifests["m"].layers,
    ),
    "children": (
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec("index", children=("x", "y"))}),
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec("index")}),
        lambda p: len(p.manifests["m"].children) > 0,
    ),
    "subject": (
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec(layers=("l",), subject="s", type="t")}),
        Plan((op("m", "manifest.put"),), {}, {"m": ManifestSpec(layers=("l",))}),
        lambda p: p.manifests["m"].subject == "s",
    ),
    "times": (
        Plan((op("h", "blob.head", blob="b", times=80),)),
        Plan((op("h", "blob.head", blob="b"),)),
        lambda p: p["h"].get("times", 1) >= 4,
    ),
    "range": (
        Plan((op("g", "blob.pull", blob="b", first=3, last=9),)),
        Plan((op("g", "blob.pull", blob="b"),)),
        lambda p: "first" in p["g"].args,
    ),
    "names": (
        Plan((op("l", "tags.list", repo="a/b-c"),)),
        Plan((op("l", "tags.list"),)),
        lambda p: "/" in p["l"]["repo"],
    ),
    "tags": (
        Plan((op("d", "tag.delete", tag="latest"),)),
        Plan((op("d", "tag.delete", tag="t"),)),
        lambda p: p["d"]["tag"] == "latest",
    ),
    "repositories": (
        Plan((op("l", "tags.list"), op("k", "tags.list", repo="r2"))),
        Plan((op("l", "tags.list"), op("k", "tags.list"))),
        lambda p: p["l"]["repo"] != p["k"]["repo"],
    ),
    "lanes": (
        Plan((op("l", "tags.list", 2), op("k", "tags.list", 5))),
        Plan((op("l", "tags.list"), op("k", "tags.list"))),
        lambda p: len(p.lanes) == 2,
    ),
    "edges": (
        Plan((op("l", "tags.list", "collector"), op("k", "tags.list", 1, ("l",)))),
        Plan((op("l", "tags.list", "collector"), op("k", "tags.list"))),
        lambda p: bool(p["k"].after),
    ),
    "cut": (
        Plan((replace(PUSH, cut=Cut(Place("put", 2, "body", 9000), "reset")),)),
        Plan((PUSH,)),
        lambda p: p["p"].cut is not None and p["p"].cut.place.at_bytes >= 4000,
    ),
    "hold": (
        Plan((replace(PUSH, hold=Hold("l", None, "x", 3)), op("l", "tags.list", 2, ("p.held",)))),
        Plan((PUSH, op("l", "tags.list"))),
        lambda p: p["p"].hold is not None and p["l"].after == ("p.held",),
    ),
    "weather": (
        Plan((op("n", "net", "operator", toxic="reset_peer", value=20, stream="up", side="backend"),)),
        Plan((op("n", "net", "operator", toxic="latency", side="backend"),)),
        lambda p: p["n"]["toxic"] in ("reset_peer", "down"),
    ),
    "kill": (
        Plan((op("k", "kill", "operator"),)),
        Plan((op("k", "restart", "operator"),)),
        lambda p: p["k"].do == "kill",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_what_does_not_matter_becomes_simple(case: str) -> None:
    odd, simple, _ = ODD[case]
    assert run(odd, anything).plan == simple


@pytest.mark.parametrize("case", ODD)
def test_what_matters_stays(case: str) -> None:
    odd, _, matters = ODD[case]
    result = run(odd, matters)
    assert matters(result.plan)


def test_ladders_stop_at_the_lowest_rung_that_fails() -> None:
    def kept(case: str) -> Plan:
        return run(ODD[case][0], ODD[case][2]).plan

    assert kept("size").blobs["b"].size_bytes == (1 << 20) + 1
    assert kept("times")["h"]["times"] == 5
    assert kept("layers").manifests["m"] == ManifestSpec(layers=("j",))
    assert kept("children").manifests["m"].children == ("x",)
    assert kept("cut")["p"].cut == Cut(Place("put", 1, "body", 4097), "close")
    assert kept("hold")["p"].hold == Hold("l", None, "x", 1)


def test_many_edits_with_one_blocker_cost_little() -> None:
    pushes = tuple(op(f"p{i}", "blob.push", blob=f"b{i}") for i in range(16))
    plan = Plan(pushes, {f"b{i}": BlobSpec(100 + i, "sha512") for i in range(16)})
    result = run(plan, lambda p: p.blobs.get("b7", BlobSpec()).alg == "sha512")
    assert result.plan.blobs == {"b7": BlobSpec(64, "sha512")}
    # 16 needed operations are asked for one by one, twice; the rest is the search for one of 32 edits.
    assert result.executions <= 2 * 16 + 2 * 5 + 6


def test_fewer_layers_take_their_pushes_along() -> None:
    layers = ("x", "y", "z")
    plan = Plan(
        (*(op(n, "blob.push", blob=n) for n in layers), op("m", "manifest.put")),
        {},
        {"m": ManifestSpec(layers=layers)},
    )
    found = finding("c", ("m",))

    def trial(p: Plan) -> list[object]:
        """Blobs that are missing are refused, and then nothing happens."""
        pushed = {o["blob"] for o in p if o.do == "blob.push"}
        return [found] if "m" in p and "m" in p.manifests and set(p.manifests["m"].layers) <= pushed else []

    result = shrink(plan, found, trial)  # type: ignore[arg-type]
    assert [o.id for o in result.plan] == ["x", "m"]


def test_resizing_keeps_ranges_in_order_and_complete() -> None:
    steps = (
        op("a", "upload.patch", upload="u", blob="b", first=0, size=5000),
        op("c", "upload.patch", upload="u", blob="b", first=5000, size=3, claim=5001),
        op("z", "upload.finish", upload="u", blob="b", first=5003, size=4997),
    )
    small = resize(Plan(steps, {"b": BlobSpec(10_000)}), "b", 64)
    a, c, z = small
    assert small.blobs == {}
    assert a["first"] == 0
    assert a["size"] == c["first"] < c["claim"] < c["first"] + c["size"] == z["first"]
    assert z["first"] + z["size"] == 64
    assert min(a["size"], c["size"], z["size"]) > 0


def test_resizing_keeps_the_number_of_chunks() -> None:
    push = op("p", "blob.push", blob="b", way="chunked", chunks=(1, 4096, 1, 900))
    small = resize(Plan((push,), {"b": BlobSpec(5000)}), "b", 64)["p"]
    assert len(small["chunks"]) == 4
    assert min(small["chunks"]) > 0
    assert sum(small["chunks"]) < 64


# --- the sequential test and hardening -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "misses"), [(1.0, 1), (0.95, 1), (0.9, 2), (0.5, 5), (0.2, 14), (0.0, MOST_TRIES)]
)
def test_misses_that_reject(rate: float, misses: int) -> None:
    assert misses_needed(rate) == misses
    assert rate == 0 or (1 - rate) ** misses <= 0.05 + 1e-12


def test_hardening_candidates_can_run_and_differ() -> None:
    plan = Plan(
        (
            PUSH,
            op("c", "collect", "collector", online=True),
            op("m", "manifest.put"),
            op("g", "blob.pull", 2, blob="b"),
        )
    )
    found = [candidate for _, candidate in candidates(plan, ("m", "c", "g"))]
    assert len({candidate.digest for candidate in found}) == len(found) > 10
    assert any(p["c"].hold == Hold("m", None, "(?i)blobs? marked") and p["g"].after == ("c",) for p in found)
    assert any("c" in p["m"].after for p in found)
    assert any("m" in p["c"].after for p in found)


def test_what_is_in_order_cannot_be_hardened() -> None:
    assert list(candidates(Plan((PUSH, op("g", "blob.pull", blob="b"))), ("g",))) == []
