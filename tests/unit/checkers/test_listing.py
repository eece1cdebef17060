"""P7: tag lists and referrers lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.plan.content import ManifestSpec
from tests.unit.checkers.tell import ALL, Tale

MANIFESTS = {
    "m": ManifestSpec(layers=("b",)),
    "m2": ManifestSpec(layers=("b",), annotations=1),
    "sig": ManifestSpec(kind="artifact", layers=("b",), subject="m", type="application/sig", annotations=2),
    "sbom": ManifestSpec(kind="artifact", layers=("b",), subject="m", type="application/sbom"),
    "image": ManifestSpec(layers=("b",), subject="m"),
    "index": ManifestSpec(kind="index", children=(), subject="m"),
}
NEXT = {"Link": '</v2/ns/r/tags/list?n=1&last=a>; rel="next"'}


def tagged(*tags: str) -> Tale:
    t = Tale(manifests=MANIFESTS)
    t.push("r", "b")
    for tag in tags:
        t.put("r", "m", tag)
    return t


LISTS: dict[str, tuple[Callable[[Tale], object], set[str]]] = {
    "right": (lambda t: t.tags("r", ["B", "a", "c"]), set()),
    "any case": (lambda t: t.tags("r", ["a", "B", "c"]), set()),
    "unsorted": (lambda t: t.tags("r", ["c", "a", "B"]), {"P7 listing.order"}),
    "missing": (lambda t: t.tags("r", ["B", "a"]), {"P7 listing.missing"}),
    "unknown": (lambda t: t.tags("r", ["B", "a", "c", "z"]), {"P7 listing.unknown"}),
    "twice": (lambda t: t.tags("r", ["B", "a", "a", "c"]), {"P7 listing.duplicates"}),
    "another name": (lambda t: t.tags("r", ["B", "a", "c"], name="q"), {"P7 listing.name"}),
    "not found": (lambda t: t.tags("r", None, 404), {"P7 listing.not_found"}),
    "n": (lambda t: t.tags("r", ["B", "a"], n=2), set()),
    "n, too many": (lambda t: t.tags("r", ["B", "a", "c"], n=2), {"P7 listing.too_many"}),
    "n, too few": (lambda t: t.tags("r", ["B"], n=2), {"P7 listing.missing"}),
    "n, fewer and a Link": (lambda t: t.tags("r", ["B"], n=2, headers=NEXT), set()),
    "n, passed over": (lambda t: t.tags("r", ["B", "c"], n=2), {"P7 listing.missing"}),
    "n is 0": (lambda t: t.tags("r", [], n=0), set()),
    "n is 0, a Link": (lambda t: t.tags("r", [], n=0, headers=NEXT), {"P7 listing.link"}),
    "odd Link": (lambda t: t.tags("r", ["B"], n=1, headers={"Link": "</x>"}), {"P7 listing.link"}),
    "last": (lambda t: t.tags("r", ["c"], last="a"), set()),
    "last itself": (lambda t: t.tags("r", ["a", "c"], last="a"), {"P7 listing.last"}),
}


@pytest.mark.parametrize("name", LISTS)
def test_each_list(name: str) -> None:
    act, expected = LISTS[name]
    t = tagged("a", "B", "c")
    act(t)
    assert t.checks() == expected


def test_null_is_no_list_but_no_failure() -> None:
    t = tagged("a")
    t.untag("r", "a")
    t.tags("r", None)
    assert t.all_checks() == {("should", "listing.null")}


def test_null_with_tags_lacks_them() -> None:
    t = tagged("a")
    t.tags("r", None)
    assert t.checks() == {"P7 listing.missing"}


def test_pages_add_up() -> None:
    t = tagged("a", "b", "c")
    t.tags("r", ["a", "b"], n=2, headers=NEXT, op="list")
    t.tags("r", ["c"], n=2, page=2, op="list")
    assert not t.findings()
    t = tagged("a", "b", "c")
    t.tags("r", ["a", "b"], n=2, headers=NEXT, op="list")
    t.tags("r", [], n=2, page=2, op="list")
    assert t.checks() == {"P7 listing.missing"}
    t = tagged("a", "b", "c")
    t.tags("r", ["a", "b"], n=2, headers=NEXT, op="list")
    t.tags("r", ["b", "c"], n=2, page=2, op="list")
    assert t.checks() == {"P7 listing.duplicates"}


@pytest.mark.parametrize(("query", "checks"), [("?last=a", set()), ("?n=1&last=a", {"P7 listing.too_many"})])
def test_the_limit_of_a_further_page_is_that_of_its_link(query: str, checks: set[str]) -> None:
    t = tagged("a", "b", "c")
    t.tags("r", ["a"], n=1, headers=NEXT, op="list")
    t.tags("r", ["b", "c"], n=1, page=2, op="list", query=query)
    assert t.checks() == checks


def test_tags_that_come_and_go_meanwhile_may_be_either() -> None:
    for shown in ([], ["new"], ["gone"], ["gone", "new"]):
        t = tagged("gone")
        t.put("r", "m", "new", at=(100, 200))
        t.untag("r", "gone", at=(100, 200), lane=2)
        t.tags("r", shown, at=(150, 250), lane=3)
        assert not t.findings()


def test_deleted_tags_are_not_listed() -> None:
    t = tagged("a", "b")
    t.untag("r", "a")
    t.tags("r", ["a", "b"])
    assert t.checks() == {"P7 listing.ghost"}


@pytest.mark.parametrize("first", [True, False])
def test_listed_means_resolvable(first: bool) -> None:
    t = Tale(manifests=MANIFESTS)
    t.push("r", "b")
    t.put("r", "m", "t", None, error="reset", cut="reset", at=(10, 60))
    t.now = 100
    t.crash()
    if first:
        t.tags("r", ["t"])
    t.fetch("r", tag="t", status=404)
    if not first:
        t.put("r", "m", "other")
        t.tags("r", ["other", "t"])
    # A put whose fate nobody knows may still land between a 404 and a list, but never leave again.
    assert t.checks() == ({"P7 listing.ghost"} if first else set())


def referred(*names: str) -> Tale:
    t = tagged("t")
    for name in names:
        t.put("r", name)
    return t


def test_referrers_are_exact() -> None:
    t = referred("sig", "sbom", "image", "index")
    t.referrers("r", "m", ["sig", "sbom", "image", "index"])
    t.referrers("r", "m2", [])
    assert not t.findings()
    t.referrers("r", "m", ["sig", "sbom", "index"])
    assert t.checks() == {"P7 referrers.missing"}


def test_a_registry_without_the_api_lists_nothing() -> None:
    t = referred("sig")
    t.supports = ALL - {"referrers"}
    t.referrers("r", "m", [], 404)
    assert not t.findings()


def with_field(**fields: Any) -> Callable[[Tale], object]:
    return lambda t: t.referrers("r", "m", [{**t.descriptor("sig"), **fields}, "sbom"])


ENTRIES: dict[str, tuple[Callable[[Tale], object], set[str]]] = {
    "twice": (lambda t: t.referrers("r", "m", ["sig", "sig", "sbom"]), {"P7 referrers.duplicates"}),
    "stranger": (lambda t: t.referrers("r", "m", ["sig", "sbom", "m2"]), {"P7 referrers.extra"}),
    "not found": (lambda t: t.referrers("r", "m", [], 404), {"P7 referrers.not_found"}),
    "size": (with_field(size=1), {"P7 referrers.size"}),
    "type": (with_field(artifactType="application/else"), {"P7 referrers.artifactType"}),
    "annotations": (with_field(annotations=None), {"P7 referrers.annotations"}),
    "media type": (with_field(mediaType="text/plain"), {"P7 referrers.mediaType"}),
    "content type": (
        lambda t: t.referrers("r", "m", ["sig", "sbom"], headers={"Content-Type": "application/json"}),
        {"P7 referrers.type"},
    ),
    "unfiltered": (lambda t: t.referrers("r", "m", ["sig", "sbom"], type="application/sig"), set()),
    "filtered": (
        lambda t: t.referrers(
            "r", "m", ["sig"], type="application/sig", headers={"OCI-Filters-Applied": "artifactType"}
        ),
        set(),
    ),
    "filtered wrongly": (
        lambda t: t.referrers(
            "r", "m", ["sig", "sbom"], type="application/sig", headers={"OCI-Filters-Applied": "artifactType"}
        ),
        {"P7 referrers.filter"},
    ),
    "filtered too much": (
        lambda t: t.referrers("r", "m", [], type="application/sig"),
        {"P7 referrers.missing"},
    ),
    "more pages": (lambda t: t.referrers("r", "m", ["sig"], headers=NEXT), set()),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_referrers_list(name: str) -> None:
    act, expected = ENTRIES[name]
    t = referred("sig", "sbom")
    act(t)
    assert t.checks() == expected


def test_a_deleted_referrer_leaves_the_list() -> None:
    t = referred("sig", "sbom")
    t.erase("r", "sig")
    t.referrers("r", "m", ["sbom"])
    assert not t.findings()
    t.referrers("r", "m", ["sig", "sbom"])
    (finding,) = t.findings()
    assert (finding.check, finding.clause) == ("referrers.extra", "row 82")
