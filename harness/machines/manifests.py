"""Manifests: images, indexes, artifacts; putting and reading them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from harness.machines.base import PlanMachine, step
from harness.machines.blobs import has_manifest
from harness.machines.pools import ARTIFACT_TYPES, MEDIA
from harness.plan.content import EMPTY_JSON, ManifestSpec
from harness.plan.operation import Lane


def can_index(machine: PlanMachine) -> bool:
    return machine.can("index")


def has_orphan(machine: PlanMachine) -> bool:
    return bool(machine.orphans)


class ManifestRules(PlanMachine):
    """Features: ``images``, ``indexes``, ``nested``, ``lonely-index`` (an index in a repository without a
    blob), ``artifacts``, ``incomplete`` (names what was never pushed), ``large-manifests``, ``tag-params``,
    ``same-manifest`` (put again, elsewhere, by another tag), ``manifest-reads``, ``pulls``."""

    def begin(self) -> None:
        super().begin()
        if "images" in self.features and self.dice.chance(0.6):
            repo = self.repo()
            self.put(repo, self.new_image(repo))

    def put(self, repo: str, manifest: str, lane: Lane | None = None, tagged: float = 0.75) -> str:
        """Put a manifest: by tag, by digest, or by digest with tags in the query."""
        if "tag-params" in self.features and self.can("tag-params") and self.dice.chance(0.25):
            tags = tuple(self.dice.some(self.tag_names, self.dice.number(1, 3)))
            return self.do("manifest.put", lane, repo=repo, manifest=manifest, tags=tags)
        tag = self.tag() if self.dice.chance(tagged) else None
        return self.do("manifest.put", lane, repo=repo, manifest=manifest, tag=tag)

    def child(self, repo: str, lane: Lane) -> str:
        """A manifest for an index: mostly one that is there already by digest."""
        found = self.held(repo)
        if found is not None and self.dice.chance(0.55):
            return found[1]
        image = self.new_image(repo)
        if self.dice.chance(0.93):
            self.put(repo, image, lane, tagged=0.15)
        else:
            self.orphans.append((repo, image))
        return image

    @step("images")
    def put_image(self) -> None:
        repo = self.repo()
        self.put(repo, self.new_image(repo))

    @step("same-manifest", has_manifest)
    def put_again(self) -> None:
        """The same bytes once more: by another tag, by digest, or in another repository."""
        found = self.held()
        assert found is not None
        repo, manifest = found
        other = self.repo()
        if other != repo and self.dice.chance(0.4):
            for blob in self.draft.needed(manifest):
                if (other, blob) not in self.draft.placed:
                    if (repo, blob) in self.draft.placed and self.dice.chance(0.5):
                        self.do("blob.mount", repo=other, blob=blob, from_=repo)
                    else:
                        self.push(other, blob)
            repo = other
        self.put(repo, manifest)

    @step("indexes", can_index)
    def put_index(self) -> None:
        """An index of zero to three children that mostly are there already."""
        repo, lane = self.repo(), self.lane()
        wanted = self.dice.weighted(((1, 0), (3, 1), (4, 2), (2, 3)))
        children = tuple(dict.fromkeys(self.child(repo, lane) for _ in range(wanted)))
        index = self.draft.new_manifest(ManifestSpec("index", children=children, docker=self.docker()))
        self.put(repo, index, lane)

    @step("nested", can_index, lambda machine: machine.held(None, ("index",)) is not None)
    def put_nested_index(self) -> None:
        found = self.held(None, ("index",))
        assert found is not None
        repo, inner = found
        children = [inner]
        if self.dice.chance(0.5) and (other := self.held(repo)) is not None and other[1] != inner:
            children.append(other[1])
        index = self.draft.new_manifest(ManifestSpec("index", children=tuple(children), docker=self.docker()))
        self.put(repo, index)

    @step("lonely-index", can_index)
    def put_lonely_index(self) -> None:
        """An index without children, by tag, in a repository in which nothing else may ever be."""
        fresh = [r for r in self.repos if not any(where == r for where, _ in self.draft.placed)]
        repo = self.dice.pick(fresh) if fresh else self.repo()
        spec = ManifestSpec("index", annotations=self.dice.number(0, 1), docker=self.docker())
        index = self.draft.new_manifest(spec)
        self.put(repo, index, tagged=0.85)

    @step("artifacts")
    def put_artifact(self) -> None:
        """An artifact, mostly about a manifest: one that is there, that comes later, or that never comes."""
        dice, repo, lane = self.dice, self.repo(), self.lane()
        subject: str | None = None
        how = dice.weighted(((5, "there"), (2, "later"), (1, "none")))
        found = self.held(repo)
        if how == "there" and found is not None:
            subject = found[1]
        elif how == "later":
            subject = self.new_image(repo)
            self.orphans.append((repo, subject))
        layers: tuple[str, ...] = ()
        if dice.chance(0.6):
            known = self.placed(repo)
            blob = known[1] if known is not None and known[1] != EMPTY_JSON else self.new_blob()
            if (repo, blob) not in self.draft.placed:
                self.push(repo, blob, lane)
            layers = (blob,)
        elif (repo, EMPTY_JSON) not in self.draft.placed:
            self.push(repo, EMPTY_JSON, lane)
        kind: Literal["artifact", "index"] = "artifact"
        if dice.chance(0.15) and self.can("index"):
            kind, layers = "index", ()
        artifact = self.draft.new_manifest(
            ManifestSpec(
                kind,
                layers=layers,
                subject=subject,
                type=dice.pick(ARTIFACT_TYPES) if dice.chance(0.85) else None,
                annotations=dice.number(0, 2),
            )
        )
        self.put(repo, artifact, lane, tagged=0.3)

    @step("artifacts", has_orphan)
    def put_orphan(self) -> None:
        """What was named before it was there comes now."""
        repo, manifest = self.orphans.pop(0)
        self.put(repo, manifest)

    @step("incomplete")
    def put_incomplete(self) -> None:
        """A manifest that names a blob or a child that is not there; the missing part may come later."""
        repo = self.repo()
        if self.dice.chance(0.3) and self.can("index"):
            absent = self.new_image(repo)
            spec = ManifestSpec("index", children=(absent,), docker=self.docker())
            self.orphans.append((repo, absent))
        else:
            blob = self.new_blob(64)
            present = self.new_blob()
            self.push(repo, present)
            spec = ManifestSpec("image", config=present, layers=(blob,), docker=self.docker())
        manifest = self.draft.new_manifest(spec)
        self.put(repo, manifest)
        if spec.layers and self.dice.chance(0.6):
            self.push(repo, spec.layers[0])
            self.put(repo, manifest)

    @step("large-manifests")
    def put_large(self) -> None:
        repo = self.repo()
        image = self.new_image(repo)
        pad = self.dice.pick((4000, 65536, 100_000, 1 << 20))
        self.draft.manifests[image] = replace(self.draft.manifests[image], pad_bytes=pad)
        self.put(repo, image)

    @step("manifest-reads", has_manifest)
    def read_manifest(self) -> None:
        """GET, HEAD or both, by digest or by tag."""
        found = self.held()
        assert found is not None
        repo, manifest = found
        tags = self.draft.tags_of(repo)
        which = {"manifest": manifest}
        if tags and self.dice.chance(0.6):
            which = {"tag": self.dice.pick(tags)}
        accept = self.dice.weighted(MEDIA) if self.dice.chance(0.3) else None
        how = self.dice.number(0, 3)
        if how != 0:
            self.do("manifest.head", None, {"repo": repo, "accept": accept, **which})
        if how != 1:
            self.do("manifest.get", None, {"repo": repo, "accept": accept, **which})

    @step("pulls", has_manifest)
    def pull_image(self) -> None:
        found = self.held()
        assert found is not None
        repo, manifest = found
        tags = self.draft.tags_of(repo)
        if tags and self.dice.chance(0.6):
            self.do("image.pull", repo=repo, tag=self.dice.pick(tags))
        else:
            self.do("image.pull", repo=repo, manifest=manifest)
