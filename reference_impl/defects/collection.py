"""A: collectors that remove what is needed, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..collect import survey
from ..collect.mark import Marker, key
from ..collect.run import Collection
from ..collect.survey import Survey
from ..collect.sweep import Candidate, Leases
from ..deviations import At, Defect
from ..drivers.base import Driver, DriverError
from ..registry import documents, layout, repositories
from ..registry.digests import CANONICAL, Digest
from ..registry.links import read_link


class FirstJudgementStands(Collection):
    """What was set aside is not looked at again.  (The second look would take most mistakes back.)"""

    def _give_back_manifests(self) -> None:
        pass


class NothingKept(Marker):
    """What was condemned is purged, whatever a second mark says."""

    def mark_new(self, repository: str) -> None:
        pass

    def keeps(self, digest: Digest, path: str) -> bool:
        return False


# -- what tags lead to -----------------------------------------------------------------------


def _only_tagged(live: Callable[..., set[Digest]]) -> Callable[..., set[Digest]]:
    def tagged(driver: Driver, found: Survey) -> set[Digest]:
        resolved = (found.resolve(name) for name in survey.tagged(driver, found.repository))
        return {one for one in resolved if one is not None}

    return tagged


def _one_level(live: Callable[..., set[Digest]]) -> Callable[..., set[Digest]]:
    def shallow(driver: Driver, found: Survey) -> set[Digest]:
        tagged = _only_tagged(live)(driver, found)
        named = (name for one in tagged if one in found.nodes for name, _ in found.nodes[one].references)
        return tagged | {child for name in named if (child := found.resolve(name)) is not None}

    return shallow


def _first_tag(tagged: Callable[..., set[Digest]]) -> Callable[..., set[Digest]]:
    def page(driver: Driver, repository: str) -> set[Digest]:
        tags = driver.list(layout.tags(repository))[:1]
        found = (read_link(driver, layout.tag_current_link(repository, tag)) for tag in tags)
        return {target for target in found if target is not None}

    return page


def _ever_tagged(tagged: Callable[..., set[Digest]]) -> Callable[..., set[Digest]]:
    def also_before(driver: Driver, repository: str) -> set[Digest]:
        folder = layout.tags(repository)
        before = (survey.linked(driver, f"{folder}/{tag}/index") for tag in driver.list(folder))
        return tagged(driver, repository).union(*before)

    return also_before


# -- what manifests refer to -----------------------------------------------------------------


def _without_config(references: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    return lambda fields: references({name: value for name, value in fields.items() if name != "config"})


def _of_oci_types(references: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    known = (None, documents.OCI_IMAGE, documents.OCI_INDEX)
    return lambda fields: references(fields) if fields.get("mediaType") in known else iter(())


class _CanonicalNames(Marker):
    def _mark_name(self, repository: str, name: Digest, target: Digest | None) -> None:
        if name.algorithm == CANONICAL:
            super()._mark_name(repository, name, target)


class _OnlyWhatIsTagged(NothingKept):
    def mark(self, repository: str, choose: Callable[[Survey], Iterable[Digest]]) -> None:
        def tagged(found: Survey) -> set[Digest]:
            self.blobs.update(key(one) for one in found.links)  # the manifests themselves stay
            return survey.live(self._driver, found) & set(choose(found))

        super().mark(repository, tagged)


class _NoLayersNoRepository(NothingKept):
    def mark(self, repository: str, choose: Callable[[Survey], Iterable[Digest]]) -> None:
        if any(survey.linked(self._driver, layout.layers(repository))):
            super().mark(repository, choose)


class _LayersOfOthers(Collection):
    """Each repository by itself: what is linked in it and not needed there goes, whoever else has it."""

    def _candidates(self, leases: Leases, marker: Marker) -> list[Candidate]:
        unused: set[bytes] = set()
        for repository in marker._seen:
            alone = Marker(self._driver, lambda step, **fields: None)
            alone.mark(repository, lambda found: found.links)
            linked = survey.linked(self._driver, layout.layers(repository))
            unused |= {key(name) for name in linked if name.algorithm == CANONICAL} - alone.blobs
        return [one for one in leases if one.key in unused or one.key not in marker.blobs]


# -- collectors that fail, or do nothing -----------------------------------------------------


class _Tags(Marker):
    def mark(self, repository: str, choose: Callable[[Survey], Iterable[Digest]]) -> None:
        def checked(found: Survey) -> Iterable[Digest]:
            if found.links and not survey.tagged(self._driver, repository):
                raise DriverError("failed to retrieve tags")
            return choose(found)

        super().mark(repository, checked)


class _MissingLayer(Marker):
    def _mark_name(self, repository: str, name: Digest, target: Digest | None) -> None:
        if target is None and not survey.exists(self._driver, layout.layer_link(repository, name)):
            raise DriverError(f"blob {name} of a manifest is unknown")
        super()._mark_name(repository, name, target)


class _FirstRepository(Collection):
    def _candidates(self, leases: Leases, marker: Marker) -> list[Candidate]:
        first = next(iter(marker._seen), "")
        linked = {key(one) for one in survey.linked(self._driver, layout.layers(first))}
        return [one for one in super()._candidates(leases, marker) if one.key in linked]


class _NoCandidates(Collection):
    def _candidates(self, leases: Leases, marker: Marker) -> list[Candidate]:
        return []


class _LinksHold(Collection):
    """What is linked as a layer counts as used; so does what was pushed once and never used."""

    def _candidates(self, leases: Leases, marker: Marker) -> list[Candidate]:
        linked: set[bytes] = set()
        for repository in marker._seen:
            linked.update(key(one) for one in survey.linked(self._driver, layout.layers(repository)))
        return [one for one in super()._candidates(leases, marker) if one.key not in linked]


class _EveryUpload(Collection):
    def _remove_uploads(self) -> None:
        for name, session in list(repositories.every_upload(self._driver)):
            self._driver.delete(layout.session_folder(name, session))


LIVE = ("collect.survey:live",)
TAGGED = ("collect.survey:tagged",)
REFERENCES = ("registry.documents:references",)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "gc-forgets-index-children",
        "a collection of untagged manifests removes the children of tagged indexes",
        (At(LIVE, _only_tagged), FirstJudgementStands),
        kind="A",
        sources=("distribution #3178, fixed in 3.0.0", "harbor #11277"),
        violates=("P2",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-looks-one-index-deep",
        "a collection of untagged manifests removes what an index in an index names",
        (At(LIVE, _one_level), FirstJudgementStands),
        kind="A",
        sources=("harbor #11273", "zot #4318"),
        violates=("P2",),
        needs=("collect",),
    ),
    Defect(
        "gc-reads-one-page-of-tags",
        "a collection of untagged manifests removes what only later tags point to",
        (At(TAGGED, _first_tag), FirstJudgementStands),
        kind="A",
        sources=("harbor #11277 (untagged removal), distribution #3420 (a list read up to its first page)",),
        violates=("P2",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-keeps-what-tags-left",
        "what a tag pointed to once is never collected",
        (At(TAGGED, _ever_tagged),),
        kind="A",
        sources=("quay PROJQUAY-11868",),
        violates=("P10",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-forgets-configs",
        "the collector removes configs of images in use",
        (At(REFERENCES, _without_config),),
        kind="A",
        sources=("cloudflare/serverless-registry #92, fixed in 2025-02",),
        violates=("P2",),
        needs=("collect",),
        operations=4,
    ),
    Defect(
        "gc-forgets-docker-manifests",
        "the collector removes what manifests with Docker's media types refer to",
        (At(REFERENCES, _of_oci_types),),
        kind="A",
        sources=("zot #1762, fixed in v2.0.0-rc7",),
        violates=("P2",),
        needs=("collect",),
        operations=4,
    ),
    Defect(
        "gc-forgets-sha512-layers",
        "the collector removes layers that manifests name by their sha512 digest",
        (_CanonicalNames,),
        kind="A",
        sources=("distribution 2.8 (garbage-collect), specification, row 36",),
        violates=("P2",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-marks-from-tags-only",
        "the collector removes layers of manifests that are pulled by digest",
        (_OnlyWhatIsTagged, FirstJudgementStands),
        kind="A",
        sources=("distribution #2914, fixed in 3.0.0", "cloudflare/serverless-registry #92"),
        violates=("P2",),
        needs=("collect",),
    ),
    Defect(
        "gc-skips-repositories-without-layers",
        "the collector removes indexes of repositories that have no layer of their own",
        (_NoLayersNoRepository,),
        kind="A",
        sources=("distribution 2.8 (a repository is what has layers)", "zot #3230"),
        violates=("P2",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-takes-layers-of-other-repositories",
        "the collector removes a layer that one repository does not need and another one does",
        (_LayersOfOthers, NothingKept),
        kind="A",
        sources=("distribution #2367, #4191 and PR #4872",),
        violates=("P2",),
        needs=("collect",),
    ),
    Defect(
        "gc-fails-without-tags",
        "a collection fails where a repository has manifests and no tag",
        (_Tags,),
        kind="A",
        sources=("distribution #4331, fixed in 3.0.0",),
        violates=("P10",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-fails-on-a-missing-layer",
        "a collection fails for ever once a layer of a manifest is gone",
        (_MissingLayer,),
        kind="A",
        sources=("zot #4271, fixed in v2.1.19",),
        violates=("P10",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-stops-after-one-repository",
        "what is garbage in other repositories than the first is never collected",
        (_FirstRepository,),
        kind="A",
        sources=("zot #3230, fixed in v2.1.6",),
        violates=("P10",),
        needs=("collect",),
        operations=4,
    ),
    Defect(
        "gc-removes-nothing",
        "a collection ends with success, and nothing is gone",
        (_NoCandidates,),
        kind="A",
        sources=("zot #3230, fixed in v2.1.6",),
        violates=("P10",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-takes-links-for-uses",
        "blobs that no manifest ever named are never collected",
        (_LinksHold,),
        kind="A",
        sources=("distribution #2094 (links stay)", "quay PROJQUAY-12368"),
        violates=("P10",),
        needs=("collect",),
        operations=3,
    ),
    Defect(
        "gc-removes-open-uploads",
        "a collection ends uploads at work",
        (_EveryUpload,),
        kind="A",
        sources=("distribution (upload purging counts from the begin), #4713",),
        violates=("P6",),
        needs=("collect",),
        operations=6,
    ),
)
