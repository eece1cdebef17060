"""Scenario files: what is written is read back equal, and what is wrong is said with its line."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.plan.codec import (
    Expect,
    Scenario,
    ScenarioError,
    canonical,
    dump,
    load,
    needs_of,
)
from harness.plan.content import EMPTY_JSON, BlobSpec, ManifestSpec, Symbols
from harness.plan.kinds import KINDS, ArgSpec
from harness.plan.operation import CALLS, Call, Cut, Hold, Lane, Operation, Place, Strike
from harness.plan.plan import Plan

EXAMPLE = """\
seatrial = 1
title = "the collector removes a blob that an acknowledged manifest references"
needs = ["collect"]
expect = { property = "P2", witness = ["put", "collect", "pull"] }

[ops]
push    = { lane = 1, do = "blob.push", repo = "r", blob = "os", way = "chunked", size = 4097 }
collect = { lane = 2, do = "collect", hold = { line = "blobs marked", until = "put" }, after = ["push"] }
put     = { lane = 1, do = "manifest.put", repo = "r", tag = "t", layers = ["os"], after = ["collect.held"] }
pull    = { lane = 1, do = "image.pull", repo = "r", tag = "t", after = ["collect"] }
"""

# --- random scenarios ------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "layer-1", "a/b", "x.y", "with space", EMPTY_JSON, 'quo"te', "ü", "m"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LANES: list[Lane] = [1, 2, 3, "collector", "operator"]
algs = st.sampled_from(["sha256", "sha512"])
counts = st.integers(0, 1 << 33)
places = st.builds(
    Place,
    st.sampled_from(["", "patch", "put"]),
    st.integers(1, 3),
    st.sampled_from(["head", "body", "answer"]),
    counts,
)
calls = st.builds(
    Call, st.sampled_from(CALLS), st.sampled_from(["*", "blobs/*", "*/link"]), st.integers(1, 3)
)
ACTS = ("kill", "power", "enospc", "eio", "emfile")
blob_specs = st.builds(BlobSpec, counts, algs, st.none() | names)
manifest_specs = st.builds(
    ManifestSpec,
    st.sampled_from(["image", "index", "artifact"]),
    st.none() | names,
    st.lists(names, max_size=3).map(tuple),
    st.lists(names, max_size=3).map(tuple),
    st.none() | names,
    st.none() | texts,
    st.integers(0, 3),
    st.integers(0, 9000),
    algs,
    st.booleans(),
)


def values(spec: ArgSpec) -> st.SearchStrategy[Any]:
    if "|" in spec.type:
        return st.sampled_from(spec.type.split("|"))
    table: dict[str, st.SearchStrategy[Any]] = {
        "int": st.integers(-5, 1 << 40),
        "bool": st.booleans(),
        "ints": st.lists(counts, max_size=3).map(tuple),
        "strs": st.lists(texts, max_size=3).map(tuple),
        "str": texts,
    }
    return table.get(spec.type, names)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    ids = draw(st.lists(names, unique=True, min_size=1, max_size=8))
    operations: list[Operation] = []
    held: list[str] = []
    coin: st.SearchStrategy[Any] = st.booleans()
    for id_ in ids:
        kind = draw(st.sampled_from(list(KINDS.values())))
        if kind.name == "again" and not operations:
            kind = KINDS["quiet"]
        args = {a.name: draw(values(a)) for a in kind.args if a.required or draw(coin)}
        earlier = [op.id for op in operations]
        if kind.name == "again":
            args["of"] = draw(st.sampled_from(earlier))
        marks = [*earlier, *(f"{x}.held" for x in held)]
        after: list[str] = []
        if marks:
            after = draw(st.lists(st.sampled_from(marks), unique=True, max_size=2))
        hold = None
        if earlier and draw(coin):
            until = draw(st.sampled_from(earlier))
            hold = draw(
                st.builds(Hold, st.just(until), places)
                | st.builds(Hold, st.just(until), st.none(), texts, st.integers(1, 3))
                | st.builds(Hold, st.just(until), call=calls)
            )
            held.append(id_)
        cut = draw(st.none() | st.builds(Cut, places, st.sampled_from(["close", "reset", "half"])))
        strike = None
        if cut is None and (hold is None or hold.call is None):
            strike = draw(st.none() | st.builds(Strike, calls, st.sampled_from(ACTS), coin))
        lane: Lane = draw(st.sampled_from(LANES))
        operations.append(Operation(id_, lane, kind.name, args, tuple(after), hold, cut, strike))
    return Plan(
        tuple(operations),
        draw(st.dictionaries(names, blob_specs, max_size=4)),
        draw(st.dictionaries(names, manifest_specs, max_size=4)),
        draw(st.sampled_from(["read", "restart"])),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    plan = draw(plans())
    expects = st.builds(
        Expect,
        st.sampled_from(["P1", "P12"]),
        st.lists(st.sampled_from([op.id for op in plan]), max_size=3).map(tuple),
        st.none() | texts.filter(bool),
        st.none() | texts.filter(bool),
    )
    return Scenario(
        title=draw(texts.filter(bool)),
        plan=canonical(plan),
        needs=tuple(draw(st.lists(texts, max_size=2))),
        expect=draw(st.none() | expects),
        about=draw(texts),
        rate=draw(st.none() | texts),
        seed=draw(st.none() | st.integers()),
    )


@settings(max_examples=150, deadline=None)
@given(scenarios())
def test_what_is_written_is_read_back_equal(scenario: Scenario) -> None:
    text = dump(scenario)
    again = load(text, "x.toml")
    assert again == scenario
    assert [op.id for op in again.plan] == [op.id for op in scenario.plan]
    assert again.plan.digest == scenario.plan.digest
    assert dump(again) == text


@settings(max_examples=100, deadline=None)
@given(plans())
def test_canonical_keeps_what_every_name_stands_for(plan: Plan) -> None:
    short = canonical(plan)
    before, after = (Symbols("s", "", p.blobs, p.manifests) for p in (plan, short))
    assert {name: before.blob_spec(name) for name in plan.blobs} == {
        name: after.blob_spec(name) for name in plan.blobs
    }
    assert canonical(short) == short


# --- the form --------------------------------------------------------------------------------------------


def test_example_is_written_as_a_person_would() -> None:
    assert dump(load(EXAMPLE, "x.toml")) == EXAMPLE


def test_example_means_what_it_says() -> None:
    scenario = load(EXAMPLE, "x.toml")
    assert scenario.plan.blobs == {"os": BlobSpec(4097)}
    assert scenario.plan.manifests == {"put": ManifestSpec(layers=("os",))}
    assert scenario.plan["collect"].hold == Hold("put", None, "blobs marked")
    assert scenario.plan["put"].after == ("collect.held",)
    assert scenario.expect == Expect("P2", ("put", "collect", "pull"))
    assert needs_of(scenario.plan) == ("collect",)


def text_of(*rows: str, top: str = "") -> str:
    return "\n".join(["seatrial = 1", 'title = "t"', *([top] if top else []), "[ops]", *rows])


def rows_of(*operations: Operation, **plan: Any) -> list[str]:
    return dump(Scenario("t", Plan(operations, **plan))).split("\n\n", 1)[1].splitlines()


def test_lane_of_an_accident_is_its_actor() -> None:
    plan = load(
        text_of('k = { do = "kill" }', 'c = { do = "collect" }', 'p = { do = "tags.list", repo = "r" }'), "x"
    ).plan
    assert [op.lane for op in plan] == ["operator", "collector", 1]
    assert rows_of(*plan) == [
        "[ops]",
        'k = { do = "kill" }',
        'c = { do = "collect" }',
        'p = { lane = 1, do = "tags.list", repo = "r" }',
    ]


def test_first_push_shows_the_size_even_where_it_is_the_default() -> None:
    ops = [Operation(id_, 1, "blob.push", {"repo": "r", "blob": "b"}) for id_ in ("p", "q")]
    first, second = rows_of(*ops)[1:]
    assert "size = 64" in first
    assert "size" not in second


def test_objects_that_no_operation_makes_have_tables() -> None:
    pull = Operation("pull", 1, "blob.pull", {"repo": "r", "blob": "b"})
    rows = rows_of(pull, blobs={"b": BlobSpec(5, "sha512")}, manifests={"m m": ManifestSpec()})
    assert rows[2:] == [
        "",
        "[blobs]",
        'b = { size = 5, alg = "sha512" }',
        "",
        "[manifests]",
        '"m m" = { layers = [] }',
    ]


def test_manifest_as_a_blob() -> None:
    plan = load(text_of('p = { do = "blob.push", repo = "r", blob = "b", as_blob = "m" }'), "x").plan
    assert plan.blobs == {"b": BlobSpec(of="m")}
    assert rows_of(*plan, blobs=plan.blobs)[1].endswith('blob = "b", of = "m" }')


def test_patch_size_is_an_argument_and_not_a_definition() -> None:
    rows = (
        's = { do = "upload.start", repo = "r", upload = "u", alg = "sha512" }',
        'p = { do = "upload.patch", repo = "r", upload = "u", blob = "b", first = 0, size = 9 }',
    )
    plan = load(text_of(*rows), "x").plan
    assert plan.blobs == {}
    assert plan["p"]["size"] == 9
    assert plan["s"]["alg"] == "sha512"


def test_fault_places() -> None:
    rows = (
        'p = { do = "collect", hold = { at = 7, on = "patch", nth = 2, until = "x" } }',
        'x = { lane = 2, do = "tags.list", repo = "r", cut = { part = "answer", how = "reset" } }',
    )
    plan = load(text_of(*rows), "x").plan
    assert plan["p"].hold == Hold("x", Place("patch", 2, "body", 7))
    assert plan["x"].cut == Cut(Place("", 1, "answer", 0), "reset")


def test_every_operation_is_on_one_line() -> None:
    text = dump(load(EXAMPLE, "x.toml"))
    assert len(text.splitlines()) == len(EXAMPLE.splitlines())
    assert tomllib.loads(text)["ops"].keys() == {"push", "collect", "put", "pull"}


def test_operation_as_a_table_of_its_own() -> None:
    text = text_of() + '\n[ops.p]\ndo = "tags.list"\nrepo = "r"\nn = 1\n'
    assert load(text, "x").plan["p"]["n"] == 1


# --- what is wrong ---------------------------------------------------------------------------------------

PUSH = 'push = { do = "blob.push", repo = "r", blob = "b" }'
WRONG: dict[str, tuple[str, int, str]] = {
    "no TOML": (text_of(PUSH, "oops"), 5, "not TOML"),
    "open table": (text_of("p = { do = 1,", "}"), 4, "not TOML"),
    "no version": ('title = "t"', 1, "`seatrial = 1`"),
    "other version": ('\nseatrial = 2\ntitle = "t"', 2, "version 2"),
    "no title": (f"seatrial = 1\n[ops]\n{PUSH}", 1, "`title` is missing"),
    "no operations": ('seatrial = 1\ntitle = "t"', 1, "`ops` is missing"),
    "unknown key": (text_of(PUSH, top='titel = "x"'), 3, 'did you mean "title"?'),
    "type of a key": (text_of(PUSH, top='needs = "kill"'), 3, "`needs` must be a list of strings"),
    "closing": (text_of(PUSH, top='closing = "kill"'), 3, 'one of "read", "restart", not "kill"'),
    "no table": (text_of("push = 3"), 4, "must be a table"),
    "no do": (text_of('push = { repo = "r" }'), 4, "`do` is missing"),
    "unknown operation": (text_of(PUSH, 'x = { do = "blob.pul" }'), 5, 'did you mean "blob.pull"?'),
    "unknown argument": (
        text_of(PUSH, 'x = { do = "tags.list", repo = "r", page = 1 }'),
        5,
        'did you mean "pages"?',
    ),
    "missing argument": (text_of('x = { do = "tags.list" }'), 4, "needs `repo`"),
    "type of an argument": (
        text_of('x = { do = "tags.list", repo = "r", n = true }'),
        4,
        "`n` must be a whole number, not true",
    ),
    "choice": (
        text_of('x = { do = "blob.push", repo = "r", blob = "b", way = "puts" }'),
        4,
        '"stream", not "puts"',
    ),
    "chunks": (
        text_of('x = { do = "blob.push", repo = "r", blob = "b", chunks = [1, "2"] }'),
        4,
        "`chunks` must be a list of whole",
    ),
    "negative size": (
        text_of('x = { do = "blob.push", repo = "r", blob = "b", size = -1 }'),
        4,
        "0 or more, not -1",
    ),
    "lane": (text_of('x = { do = "kill", lane = "oper" }'), 4, "a client's number"),
    "lane zero": (text_of('x = { do = "kill", lane = 0 }'), 4, "a client's number"),
    "unknown mark": (text_of(PUSH, 'x = { do = "kill", after = ["pusch"] }'), 5, 'did you mean "push"?'),
    "mark without hold": (
        text_of(PUSH, 'x = { do = "kill", after = ["push.held"] }'),
        5,
        "'push' has no `hold`",
    ),
    "hold without end": (text_of('x = { do = "collect", hold = { line = "m" } }'), 4, "until"),
    "hold at both": (
        text_of(PUSH, 'x = { do = "collect", hold = { line = "m", at = 1, until = "push" } }'),
        5,
        "give one of them",
    ),
    "hold until nothing": (
        text_of(PUSH, 'x = { do = "collect", hold = { line = "m", until = "psh" } }'),
        5,
        'did you mean "push"?',
    ),
    "hold at a line and a part": (
        text_of(PUSH, 'x = { do = "collect", hold = { line = "m", part = "body", until = "push" } }'),
        5,
        "`part` belongs",
    ),
    "cut": (text_of('x = { do = "tags.list", repo = "r", cut = { how = "rest" } }'), 4, '"reset"'),
    "unknown key of a hold": (
        text_of(PUSH, 'x = { do = "collect", hold = { lin = "m", until = "push" } }'),
        5,
        'did you mean "line"?',
    ),
    "two definitions": (
        text_of(
            'p = { do = "blob.push", repo = "r", blob = "b", size = 1 }',
            'q = { do = "blob.push", repo = "r", blob = "b", size = 2 }',
        ),
        5,
        "defined in two ways",
    ),
    "table of blobs": (text_of(PUSH, "[blobs]", "b = { siz = 1 }"), 6, 'did you mean "size"?'),
    "table of manifests": (text_of(PUSH, "[manifests]", "m = 1"), 6, "must be a table"),
    "circle": (
        text_of('a = { do = "kill", after = ["b"] }', 'b = { do = "collect", after = ["a"] }'),
        4,
        "wait for each other",
    ),
    "again of nothing": (text_of('x = { do = "again", of = "y" }'), 4, "'y' to send again"),
    "witness": (
        text_of(PUSH, top='expect = { property = "P1", witness = ["pusch"] }'),
        3,
        'did you mean "push"?',
    ),
    "expect": (text_of(PUSH, top='expect = { witness = ["push"] }'), 3, "`property` is missing"),
    "name of a hold": (text_of('"x.held" = { do = "kill" }'), 4, "kept for holds"),
    "quoted name": (text_of(PUSH, '"a b" = { do = "kil" }'), 5, 'did you mean "kill"?'),
    "table of an operation": (text_of() + '\n[ops.x]\ndo = "kil"\n', 4, 'did you mean "kill"?'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str) -> None:
    text, line, problem = WRONG[case]
    with pytest.raises(ScenarioError) as caught:
        load(text, "s/x.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"s/x.toml:{line}: ")
    assert problem in str(caught.value)


def test_witness_may_be_the_closing() -> None:
    scenario = load(text_of(PUSH, top='expect = { property = "P1", witness = ["push", "closing.1"] }'), "x")
    assert scenario.expect == Expect("P1", ("push", "closing.1"))
