"""Deletions, and pushing what was deleted again."""

from __future__ import annotations

from collections import Counter

from harness.machines.base import PlanMachine, step
from harness.machines.blobs import has_blob, has_manifest
from harness.machines.pools import ARTIFACT_TYPES
from harness.machines.tags import has_tag
from harness.plan.content import ManifestSpec


def something_missing(machine: PlanMachine) -> bool:
    return bool(machine.draft.missing or machine.draft.missing_manifests)


def attached(machine: PlanMachine) -> list[tuple[str, str]]:
    """Manifests that may be there, as their subject may, with their repository."""
    held, manifests = machine.draft.held, machine.draft.manifests
    return [
        (repo, name)
        for repo, name in held
        if (subject := manifests[name].subject) is not None and (repo, subject) in held
    ]


def can_delete_with_subject(machine: PlanMachine) -> bool:
    """Whether something is attached, or can be."""
    return bool(attached(machine)) or ("artifacts" in machine.features and has_manifest(machine))


class DeletionRules(PlanMachine):
    """Features: ``blob-delete``, ``manifest-delete``, ``tag-delete``, ``missing-reads`` (what was deleted),
    ``repush`` (what was deleted or collected comes back)."""

    @step("blob-delete", has_blob)
    def delete_blob(self) -> None:
        """A blob: mostly one that nothing in its repository references; sometimes one in use, or twice. One
        that is in several repositories is mostly looked at in another one, too."""
        dice = self.dice
        unused, shared = self.draft.unused(), self.shared()
        found = dice.recent(unused) if unused and dice.chance(0.6) else self.placed()
        if shared and dice.chance(0.45):
            found = dice.recent(shared)
        assert found is not None
        repo, blob = found
        if dice.chance(0.06):
            repo = self.repo()
        deleted = self.do("blob.delete", repo=repo, blob=blob)
        if dice.chance(0.5):
            self.do(dice.pick(("blob.head", "blob.pull")), repo=repo, blob=blob, race=False)
        if dice.chance(0.12):
            self.do("blob.delete", repo=repo, blob=blob, race=False, after=(deleted,))
        elsewhere = [key for key in shared if key[1] == blob and key[0] != repo]
        if elsewhere and dice.chance(0.8):
            self.do("blob.pull", repo=dice.pick(elsewhere)[0], blob=blob, race=False, after=(deleted,))

    def shared(self) -> list[tuple[str, str]]:
        """Blobs that may be in more than one repository."""
        count = Counter(blob for _, blob in self.draft.placed)
        return [key for key in self.draft.placed if count[key[1]] > 1]

    @step("manifest-delete", has_manifest)
    def delete_manifest(self) -> None:
        """A manifest by digest; then its tag or its digest is read, or it is deleted again. Some are read
        right before, so that a cache has them; of an index, a child is pulled."""
        dice = self.dice
        index = self.held(None, ("index",)) if dice.chance(0.35) else None
        found = index or self.held()
        assert found is not None
        repo, manifest = found
        tags = [tag for (where, tag), name in self.draft.tags.items() if (where, name) == found]
        if dice.chance(0.25):
            self.do("manifest.get", repo=repo, manifest=manifest, race=False)
        deleted = self.do("manifest.delete", repo=repo, manifest=manifest)
        for child in self.draft.manifests[manifest].children[:1]:
            if (repo, child) in self.draft.held and dice.chance(0.6):
                self.do("image.pull", repo=repo, manifest=child, race=False, after=(deleted,))
        if tags and dice.chance(0.5):
            self.do("manifest.get", repo=repo, tag=dice.pick(tags), race=False)
        if dice.chance(0.3):
            self.do(dice.pick(("manifest.head", "manifest.get")), repo=repo, manifest=manifest, race=False)
        if dice.chance(0.12):
            self.do("manifest.delete", repo=repo, manifest=manifest, race=False)

    @step("manifest-delete", can_delete_with_subject)
    def delete_with_subject(self) -> None:
        """A subject and what is attached to it, one after the other; mostly the subject first."""
        found = attached(self)
        repo, manifest = self.dice.recent(found) if found else self.attach_one()
        both = [str(self.draft.manifests[manifest].subject), manifest]
        for one in both if self.dice.chance(0.7) else reversed(both):
            self.do("manifest.delete", repo=repo, manifest=one, race=False)

    def attach_one(self) -> tuple[str, str]:
        """An artifact about a manifest that is there, and where it is."""
        held, blob = self.held(), self.new_blob(64)
        assert held is not None
        repo, subject = held
        self.push(repo, blob, race=False)
        spec = ManifestSpec("artifact", layers=(blob,), subject=subject, type=self.dice.pick(ARTIFACT_TYPES))
        artifact = self.draft.new_manifest(spec)
        self.do("manifest.put", repo=repo, manifest=artifact, race=False)
        return repo, artifact

    @step("tag-delete", has_tag)
    def delete_tag(self) -> None:
        """A tag; its manifest, its other tags, and tags of that name elsewhere stay."""
        dice = self.dice
        repo, tag = dice.recent(list(self.draft.tags))
        manifest = self.draft.tags[repo, tag]
        neighbour = self.neighbour(repo, tag, manifest)
        deleted = self.do("tag.delete", repo=repo, tag=tag)
        if neighbour is not None and dice.chance(0.6):
            where, name = neighbour
            self.do("manifest.get", repo=where, tag=name, race=False, after=(deleted,))
        if dice.chance(0.4):
            self.do("manifest.get", repo=repo, tag=tag, race=False)
        if dice.chance(0.4):
            self.do("image.pull", repo=repo, manifest=manifest)
        if dice.chance(0.2):
            self.do("manifest.put", repo=repo, manifest=manifest, tag=tag)

    def neighbour(self, repo: str, tag: str, manifest: str) -> tuple[str, str] | None:
        """Some tags get a neighbour before they are deleted: another tag of their manifest, or a namesake in
        another repository."""
        dice = self.dice
        others = [name for name in self.tag_names if name != tag]
        elsewhere = self.elsewhere(repo)
        if others and dice.chance(0.3):
            name = dice.pick(others)
            self.do("manifest.put", repo=repo, manifest=manifest, tag=name, race=False)
            return repo, name
        if elsewhere and dice.chance(0.25):
            where = dice.pick(elsewhere)
            self.do("manifest.put", repo=where, manifest=self.ready_manifest(where), tag=tag, race=False)
            return where, tag
        return None

    @step("missing-reads", something_missing)
    def read_missing(self) -> None:
        """What was deleted or may have been collected: it stays away until somebody pushes it."""
        draft, dice = self.draft, self.dice
        if draft.missing and (not draft.missing_manifests or dice.chance(0.5)):
            repo, blob = dice.recent(list(draft.missing))
            self.do(dice.pick(("blob.pull", "blob.head")), repo=repo, blob=blob)
        else:
            repo, manifest = dice.recent(list(draft.missing_manifests))
            self.do(dice.pick(("manifest.get", "manifest.head")), repo=repo, manifest=manifest)

    @step("repush", something_missing)
    def push_again(self) -> None:
        """The right bytes again: a blob, or a manifest with whatever it needs; then it is pulled."""
        draft, dice = self.draft, self.dice
        if draft.missing_manifests and dice.chance(0.6):
            repo, manifest = dice.recent(list(draft.missing_manifests))
            for child in draft.manifests[manifest].children:
                if (repo, child) not in draft.held:
                    self.restore(repo, child)
            self.restore(repo, manifest, tagged=True)
            if dice.chance(0.7):
                self.do("image.pull", repo=repo, manifest=manifest, race=False)
        elif draft.missing:
            repo, blob = dice.recent(list(draft.missing))
            self.push(repo, blob)
            if dice.chance(0.7):
                self.do("blob.pull", repo=repo, blob=blob, race=False)

    def restore(self, repo: str, manifest: str, tagged: bool = False) -> None:
        """Push what a manifest misses, mostly, and put it."""
        for blob in self.draft.needed(manifest):
            if (repo, blob) not in self.draft.placed and self.dice.chance(0.9):
                self.push(repo, blob)
        tag = self.tag() if tagged and self.dice.chance(0.7) else None
        self.do("manifest.put", repo=repo, manifest=manifest, tag=tag)
