"""A simulated registry with one defect at a time, and random plans for it: what the shrinker is tried on.

Every operation has two steps (a collector marks, then sweeps; a manifest is checked, then stored). Which step
is next follows the plan's order, or, with a random source, is drawn from what may happen next.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

from harness.checkers.finding import Finding
from harness.plan.content import BlobSpec, ManifestSpec, Symbols
from harness.plan.operation import Arg, Lane, Operation, mark_owner
from harness.plan.plan import Plan

Key = tuple[str, str]
DEFECTS = ("untagged", "chunks", "mount", "index", "pages", "collect")


def finding(check: str, witness: tuple[str, ...]) -> Finding:
    ids = tuple(dict.fromkeys(witness))
    return Finding("P2", "must", check, "promise: made up", f"{check} broke", "", ids)


@dataclass
class Registry:
    """What is stored, who stored it, and what the defect has lost (with the operations that did it)."""

    plan: Plan
    defect: str
    rng: random.Random | None = None
    blobs: dict[Key, str] = field(default_factory=dict)
    mounts: dict[Key, Key] = field(default_factory=dict)
    manifests: dict[Key, str] = field(default_factory=dict)
    tags: dict[Key, tuple[str, str]] = field(default_factory=dict)
    untagged: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    lost: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    marked: dict[str, set[Key]] = field(default_factory=dict)
    running: bool = True
    findings: list[Finding] = field(default_factory=list)

    def run(self) -> list[Finding]:
        started: set[str] = set()
        ended: set[str] = set()
        self.symbols = Symbols("", "", self.plan.blobs, self.plan.manifests)

        def reached(mark: str) -> bool:
            owner = mark_owner(mark)
            return owner in ended if owner == mark else owner in started

        while len(ended) < len(self.plan):
            begun = [
                op
                for op in self.plan
                if op.id in started - ended and (op.hold is None or reached(op.hold.until))
            ]
            ready = [
                op
                for op in self.plan
                if op.id not in started and all(reached(mark) for mark in self.plan.waits[op.id])
            ]
            enabled = begun + ready
            op = enabled[0] if self.rng is None else self.rng.choice(enabled)
            if op.id in started:
                ended.add(op.id)
                if self.running or op.do == "restart":
                    self.end(op)
            else:
                started.add(op.id)
                if op.do == "collect":
                    self.marked[op.id] = {key for key, _ in self.referenced()}
        return self.findings

    def referenced(self) -> Iterator[tuple[Key, str]]:
        """Blobs that a manifest references, and who put it."""
        for (repo, name), put in self.manifests.items():
            yield from (((repo, blob), put) for blob in self.symbols.manifest_spec(name).blobs)

    def end(self, op: Operation) -> None:
        getattr(self, op.do.replace(".", "_"), lambda op: None)(op)

    # --- operations ------------------------------------------------------------------------------------

    def blob_push(self, op: Operation) -> None:
        key = (op["repo"], op["blob"])
        self.blobs[key] = op.id
        self.lost.pop(("blob", *key), None)
        big = self.plan.blobs.get(op["blob"], BlobSpec()).size_bytes > 4096
        if self.defect == "chunks" and op.get("way") == "chunked" and len(op.get("chunks", ())) > 1 and big:
            self.lost["blob", op["repo"], op["blob"]] = (op.id,)

    def blob_mount(self, op: Operation) -> None:
        source, key = (op["from"], op["blob"]), (op["repo"], op["blob"])
        if source in self.blobs and source != key:
            self.blobs[key] = op.id
            self.mounts[key] = source

    def blob_delete(self, op: Operation) -> None:
        key = (op["repo"], op["blob"])
        if self.blobs.pop(key, None) and self.defect == "mount":
            for mount, source in self.mounts.items():
                if source == key and mount in self.blobs:
                    self.lost["blob", *mount] = (self.blobs[mount], op.id)

    def manifest_put(self, op: Operation) -> None:
        name = op.get("manifest", op.id)
        spec = self.symbols.manifest_spec(name)
        if any((op["repo"], blob) not in self.blobs for blob in spec.blobs):
            return
        self.manifests[op["repo"], name] = op.id
        if "tag" in op.args:
            self.tags[op["repo"], op["tag"]] = (name, op.id)

    def tag_delete(self, op: Operation) -> None:
        found = self.tags.pop((op["repo"], op["tag"]), None)
        if found:
            self.untagged[op["repo"], found[0]] = (found[1], op.id)

    def collect(self, op: Operation) -> None:
        if self.defect == "untagged":
            for key, who in self.untagged.items():
                self.lost.setdefault(("manifest", *key), (*who, op.id))
        if self.defect == "collect":
            for key, put in self.referenced():
                if key in self.blobs and key not in self.marked[op.id]:
                    self.lost["blob", *key] = (put, op.id)

    def kill(self, op: Operation) -> None:
        self.running = False
        if self.defect == "index":
            for repo, name in self.manifests:
                spec = self.symbols.manifest_spec(name)
                if spec.kind == "index" and spec.alg == "sha512":
                    for child in spec.children:
                        who = (self.manifests[repo, name], op.id)
                        self.lost["manifest", repo, child] = who

    def restart(self, op: Operation) -> None:
        self.running = True

    def blob_pull(self, op: Operation) -> None:
        self.look(op, "blob", op["blob"], self.blobs)

    def image_pull(self, op: Operation) -> None:
        name = op.get("manifest") or self.tags.get((op["repo"], op["tag"]), ("", ""))[0]
        self.walk(op, name)

    def walk(self, op: Operation, name: str) -> None:
        if (op["repo"], name) in self.manifests:
            self.look(op, "manifest", name, self.manifests)
            spec = self.symbols.manifest_spec(name)
            for blob in spec.blobs:
                self.look(op, "blob", blob, self.blobs)
            for child in spec.children:
                self.walk(op, child)

    def look(self, op: Operation, space: str, name: str, known: dict[Key, str]) -> None:
        who = self.lost.get((space, op["repo"], name))
        if who is not None and (op["repo"], name) in known:
            self.findings.append(finding(self.defect, (known[op["repo"], name], *who, op.id)))

    def tags_list(self, op: Operation) -> None:
        listed = sorted(key for key in self.tags if key[0] == op["repo"])
        if self.defect == "pages" and op.get("n") == 1 and len(listed) > 2:
            self.findings.append(finding("pages", (self.tags[listed[-1]][1], op.id)))


def system(defect: str, seed: int | None = None) -> Callable[[Plan], list[Finding]]:
    """A trial; deterministic without a seed."""
    rng = None if seed is None else random.Random(seed)
    return lambda plan: Registry(plan, defect, rng).run()


# --- plans -----------------------------------------------------------------------------------------------

KINDS = (
    *["blob.push"] * 8,
    *["manifest.put"] * 8,
    *["image.pull"] * 7,
    *["blob.pull"] * 4,
    *["blob.mount"] * 3,
    *["blob.delete"] * 2,
    *["tag.delete"] * 3,
    *["tags.list"] * 3,
    *["collect"] * 2,
    *["kill", "quiet", "blob.head"],
)


class Draft:
    """A random plan of ``length`` operations in up to three lanes, in which every object is made (in any
    lane) before it is used."""

    def __init__(self, rng: random.Random, length: int, *, online: bool = False) -> None:
        self.rng, self.online = rng, online
        self.ops: list[Operation] = []
        self.blobs: dict[str, BlobSpec] = {}
        self.manifests: dict[str, ManifestSpec] = {}
        self.made: list[tuple[str, str, str, str]] = []
        while len(self.ops) < length:
            self.step(rng.choice(KINDS))

    def plan(self) -> Plan:
        return Plan(tuple(self.ops), self.blobs, self.manifests, "restart").check()

    def add(self, do: str, after: tuple[str, ...] = (), /, **args: Arg) -> str:
        lane: Lane = self.rng.randint(1, 3)
        if do in ("quiet", "kill", "restart", "collect"):
            lane = "collector" if do == "collect" else "operator"
        if do == "kill":
            after = tuple(op.id for op in self.ops[-3:])
        id_ = f"{do.split('.')[-1]}{len(self.ops)}"
        self.ops.append(Operation(id_, lane, do, args, tuple(dict.fromkeys(after))))
        return id_

    def pick(self, space: str, repo: str | None = None) -> tuple[str, str, str, str] | None:
        fit = [made for made in self.made if made[0] == space and repo in (None, made[1])]
        return self.rng.choice(fit) if fit else None

    def step(self, do: str) -> None:
        rng = self.rng
        repo = rng.choice(("a", "a/b", "a-x"))
        if do == "blob.push":
            name = f"b{len(self.ops)}"
            size = rng.choice((0, 1, 64, 700, 4097, 70_000))
            self.blobs[name] = BlobSpec(size, "sha512" if rng.random() < 0.5 else "sha256")
            ways: dict[str, Arg] = {}
            if rng.random() < 0.5:
                ways = {"way": "chunked", "chunks": tuple(rng.sample(range(1, 300), rng.randint(1, 4)))}
            self.made.append(("blob", repo, name, self.add(do, repo=repo, blob=name, **ways)))
        elif do == "manifest.put":
            self.put(repo)
        elif do in ("blob.pull", "blob.head", "blob.delete") and (found := self.pick("blob")):
            self.add(do, (found[3],), repo=found[1], blob=found[2])
        elif do == "blob.mount" and (found := self.pick("blob")) and found[1] != repo:
            id_ = self.add(do, (found[3],), repo=repo, blob=found[2], **{"from": found[1]})
            self.made.append(("blob", repo, found[2], id_))
        elif do == "image.pull" and (found := self.pick(rng.choice(("tag", "manifest")))):
            self.add(do, (found[3],), repo=found[1], **{found[0]: found[2]})
        elif do == "tag.delete" and (found := self.pick("tag")):
            self.add(do, (found[3],), repo=found[1], tag=found[2])
        elif do == "tags.list":
            self.add(do, repo=repo, n=rng.choice((1, 1, 2)), pages=True)
        elif do == "collect":
            self.add(do, **({"online": True} if self.online else {}))
        elif do == "kill":
            self.add(do)
            self.add("restart")
        elif do == "quiet":
            self.add(do)

    def put(self, repo: str) -> None:
        rng = self.rng
        layers = [made for made in self.made if made[:2] == ("blob", repo)]
        children = [made for made in self.made if made[:2] == ("manifest", repo)]
        parts = children if children and rng.random() < 0.3 else layers
        if not parts:
            return
        chosen = rng.sample(parts, min(len(parts), rng.randint(1, 3)))
        names = tuple(dict.fromkeys(made[2] for made in chosen))
        spec = ManifestSpec(
            kind="index" if parts is children else "image",
            children=names if parts is children else (),
            layers=() if parts is children else names,
            annotations=rng.randint(0, 3),
            alg="sha512" if rng.random() < 0.5 else "sha256",
            docker=rng.random() < 0.2,
        )
        tags: dict[str, Arg] = (
            {"tag": rng.choice(("t", "latest", "t-1", "t/2"))} if rng.random() < 0.7 else {}
        )
        id_ = self.add("manifest.put", tuple(made[3] for made in chosen), repo=repo, **tags)
        self.manifests[id_] = spec
        self.made.append(("manifest", repo, id_, id_))
        if tags:
            self.made.append(("tag", repo, str(tags["tag"]), id_))


@cache
def failing(defect: str, count: int, length: int = 50, *, racy: bool = False) -> list[tuple[Plan, Finding]]:
    """The first ``count`` random plans that show the defect (in a random schedule where ``racy``)."""
    found = []
    for seed in range(100_000):
        plan = Draft(random.Random(seed), length, online=racy).plan()
        findings = system(defect, seed if racy else None)(plan)
        if findings:
            found.append((plan, findings[0]))
            if len(found) == count:
                break
    return found
