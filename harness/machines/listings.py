"""Tag lists and referrers."""

from __future__ import annotations

from harness.machines.base import concurrent, steady, step
from harness.machines.blobs import has_manifest
from harness.machines.pools import ARTIFACT_TYPES, TAGS
from harness.machines.tags import TagRules
from harness.plan.content import ManifestSpec
from harness.plan.operation import Arg


class ListingRules(TagRules):
    """Features: ``tag-lists``, ``many-tags``, ``pages``, ``list-storms`` (lists beside tags that come and
    go), ``referrers``."""

    def begin(self) -> None:
        super().begin()
        if "many-tags" in self.features:
            self.tag_names = list(dict.fromkeys(tag for _ in range(4) for tag in self.dice.pick(TAGS)))
            self.make_tags()

    def make_tags(self) -> None:
        """One manifest under five to fifteen tags: in one request where that works."""
        dice, repo, lane = self.dice, self.repo(), self.lane()
        image = self.ready_manifest(repo)
        extra = [f"v{number}" for number in range(dice.number(0, 6))]
        tags = dice.some([*self.tag_names, *extra], dice.number(5, 15))
        if self.can("tag-params") and dice.chance(0.5):
            self.do("manifest.put", lane, repo=repo, manifest=image, tags=tuple(tags[:10]))
            tags = tags[10:]
        for tag in tags[:9]:
            self.do("manifest.put", lane, repo=repo, manifest=image, tag=tag)
        if "pages" in self.features:
            self.do("tags.list", lane, repo=repo, n=dice.number(1, 3), pages=True, race=False)

    @step("tag-lists")
    def list_tags(self) -> None:
        """A list: whole, or from a tag on (one that is there, or its prefix), or so many."""
        dice, repo = self.dice, self.repo()
        if self.draft.tags and dice.chance(0.8):
            repo = dice.recent(list(self.draft.tags))[0]
        args: dict[str, Arg | None] = {"repo": repo}
        if "pages" in self.features:
            known = self.draft.tags_of(repo)
            shape = dice.weighted(((4, "n"), (3, "both"), (2, "last"), (1.5, "whole")))
            if shape in ("n", "both"):
                args["n"] = dice.pick((1, 1, 2, 2, 3, 0, 0, len(known), len(known) + 1, 1000))
            if shape in ("last", "both"):
                tag = dice.pick(known) if known else self.tag()
                args["last"] = tag if dice.chance(0.75) else tag[:-1] or "a"
            if args.get("n") and dice.chance(0.75):
                args["pages"] = True
        self.do("tags.list", None, args)

    @step("list-storms", concurrent, steady)
    def list_beside_tags(self) -> None:
        """One lane lists, and perhaps looks at what is listed, while the others make new tags and delete old
        ones."""
        dice, repo = self.dice, self.repo()
        image = self.ready_manifest(repo)
        first = self.do("manifest.put", repo=repo, manifest=image, tag=self.tag())
        lister = self.lane()
        look = True if dice.chance(0.75) else None
        times = dice.number(10, 40)
        self.do("tags.list", lister, after=(first,), race=True, repo=repo, times=times, look=look)
        for number in range(dice.number(3, 7)):
            lane = self.lane(lister)
            tags = self.draft.tags_of(repo)
            if "tag-delete" in self.features and tags and dice.chance(0.4):
                self.do("tag.delete", lane, after=(first,), repo=repo, tag=dice.pick(tags), race=True)
            else:
                tag = self.tag() if dice.chance(0.5) else f"new{number}"
                self.do("manifest.put", lane, after=(first,), repo=repo, manifest=image, tag=tag, race=True)

    @step("referrers", has_manifest)
    def list_referrers(self) -> None:
        """Of a manifest that is there, that was deleted, or that was never put."""
        found = self.held()
        assert found is not None
        repo, subject = found
        about = [spec.subject for spec in self.draft.manifests.values() if spec.subject is not None]
        if about and self.dice.chance(0.75):
            subject = self.dice.recent(about)
        kind = self.dice.pick(ARTIFACT_TYPES) if self.dice.chance(0.35) else None
        pages = True if self.dice.chance(0.4) else None
        self.do("referrers.list", repo=repo, manifest=subject, type=kind, pages=pages)

    @step("referrers", has_manifest)
    def attach(self) -> None:
        """One to three artifacts about one manifest, then its referrers; where there are other repositories,
        mostly those in another one, too."""
        found = self.held()
        assert found is not None
        repo, subject = found
        lane = self.lane()
        blob = self.new_blob(64)
        self.push(repo, blob, lane)
        for _ in range(self.dice.number(1, 3) if self.can("oci") else 0):
            spec = ManifestSpec(
                "artifact", layers=(blob,), subject=subject, type=self.dice.pick(ARTIFACT_TYPES)
            )
            self.do("manifest.put", lane, repo=repo, manifest=self.draft.new_manifest(spec))
        pages = True if self.dice.chance(0.4) else None
        listed = self.do("referrers.list", repo=repo, manifest=subject, pages=pages, race=False)
        elsewhere = self.elsewhere(repo)
        if elsewhere and self.dice.chance(0.6):
            where = self.dice.pick(elsewhere)
            self.do("referrers.list", repo=where, manifest=subject, race=False, after=(listed,))
