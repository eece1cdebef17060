"""Blobs: pushing all ways, mounting, reading."""

from __future__ import annotations

from harness.machines.base import PlanMachine, step
from harness.plan.content import EMPTY_JSON, BlobSpec


def has_blob(machine: PlanMachine) -> bool:
    return bool(machine.draft.placed)


def has_manifest(machine: PlanMachine) -> bool:
    return bool(machine.draft.held)


class BlobRules(PlanMachine):
    """Features: ``push``, ``again-elsewhere`` (the same blob in several repositories), ``wrong-digest``,
    ``manifest-as-blob``, ``mount``, ``blob-reads``, ``ranges``, ``foreign-reads``."""

    def begin(self) -> None:
        """Some plans begin with a push by each client, into one repository that is not there yet."""
        if "push" in self.features and self.draft.lanes > 1 and self.dice.chance(0.2):
            repo = self.repo()
            for lane in range(1, self.draft.lanes + 1):
                self.push(repo, self.new_blob(), lane, race=True)
        super().begin()

    @step("push")
    def push_new(self) -> None:
        repo = self.repo()
        if self.dice.chance(0.08):
            self.push(repo, EMPTY_JSON)
            return
        blob = self.new_blob()
        self.push(repo, blob)
        if self.draft.lanes > 1 and self.dice.chance(0.2):
            self.push(self.repo(), blob, race=True)

    @step("again-elsewhere", has_blob)
    def push_known(self) -> None:
        """A blob that exists already: in this repository, or in another one."""
        found = self.placed()
        assert found is not None
        self.push(self.repo(), found[1])

    @step("wrong-digest", has_blob)
    def push_wrong_digest(self) -> None:
        """The bytes of one blob under the digest of another, which may or may not exist."""
        repo, blob = self.repo(), self.new_blob(self.dice.pick((64, 1000, 4097)))
        known = self.placed()
        declare = self.new_blob(64)
        if known is not None and known[1] != blob and self.dice.chance(0.5):
            declare = known[1]
        self.push(repo, blob, declare=declare)
        if self.dice.chance(0.7):
            self.do("blob.head", repo=repo, blob=declare, race=False)
        if self.dice.chance(0.4):
            self.push(repo, declare)

    @step("manifest-as-blob", has_manifest)
    def push_manifest_as_blob(self) -> None:
        found = self.held()
        assert found is not None
        blob = self.draft.new_blob(BlobSpec(of=found[1]))
        self.push(found[0] if self.dice.chance(0.7) else self.repo(), blob)

    @step("mount", has_blob)
    def mount(self) -> None:
        """From where the blob may be, was or is not, or from anywhere; some send it if that fails. Where
        blobs are deleted, some are at the source: right before, or after."""
        found, gone = self.placed(), list(self.draft.missing)
        if gone and self.dice.chance(0.3):
            found = self.dice.recent(gone)
        assert found is not None
        source: str | None = found[0]
        others = self.elsewhere(found[0])
        target = self.dice.pick(others) if others and self.dice.chance(0.8) else self.repo()
        if self.dice.chance(0.12):
            source = None
        elif self.dice.chance(0.25):
            source = self.repo()
        fallback = True if self.dice.chance(0.4) else None
        when = self.dice.number(0, 7) if source is not None and "blob-delete" in self.features else 7
        if when == 0:
            self.do("blob.delete", repo=source, blob=found[1], race=False)
        self.do("blob.mount", repo=target, blob=found[1], from_=source, fallback=fallback)
        if when in (1, 2):
            self.do("blob.delete", repo=source, blob=found[1], race=False)
        if self.dice.chance(0.3):
            self.do("blob.pull", repo=target, blob=found[1])

    @step("blob-reads", has_blob)
    def read_blob(self) -> None:
        found = self.placed()
        assert found is not None
        repo, blob = found
        which = self.dice.number(0, 3)
        if which != 0:
            self.do("blob.head", repo=repo, blob=blob)
        if which != 1:
            times = self.dice.number(2, 8) if self.draft.lanes > 1 and self.dice.chance(0.1) else None
            self.do("blob.pull", repo=repo, blob=blob, times=times)

    @step("ranges", has_blob)
    def read_range(self) -> None:
        """Bytes of a blob: inside, at its ends, across its end, behind it, a suffix."""
        found = self.placed()
        assert found is not None
        size = self.draft.blob_size_bytes(found[1]) or 0
        end = max(size - 1, 0)
        first, last = self.dice.pick(
            (
                (0, 0),
                (0, end),
                (end, end),
                (min(1, end), None),
                (size // 2, size // 2 + 10),
                (0, size + 5),
                (size, None),
                (None, 1),
                (None, size + 1),
                (size // 3, end),
            )
        )
        self.do("blob.pull", repo=found[0], blob=found[1], first=first, last=last)

    @step("foreign-reads", has_blob)
    def read_elsewhere(self) -> None:
        """A blob or a manifest in a repository in which it may never have been."""
        found = self.placed()
        assert found is not None
        elsewhere = [repo for repo in self.repos if (repo, found[1]) not in self.draft.placed]
        repo = self.dice.pick(elsewhere) if elsewhere else self.repo()
        self.do(self.dice.pick(("blob.pull", "blob.head")), repo=repo, blob=found[1])
        manifest = self.held()
        if manifest is not None and self.dice.chance(0.5):
            repo = self.repo()
            self.do(self.dice.pick(("manifest.get", "manifest.head")), repo=repo, manifest=manifest[1])
