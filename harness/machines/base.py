"""What all machines share: the draft, the swarm, and the choice of objects, lanes and orders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.strategies import SearchStrategy, integers

from harness.history import Abilities, Promises
from harness.machines.dice import Dice
from harness.machines.pools import PROFILES, REPOSITORIES, SIZES, TAGS
from harness.model.draft import Draft
from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.kinds import KINDS
from harness.plan.operation import Arg, Cut, Hold, Lane, Strike
from harness.plan.plan import Closing, Plan

ROLLS: SearchStrategy[int] = integers(0, (1 << 32) - 1)
"""What a rule draws: see `harness.machines.dice`."""
LEAST = 8
"""Shorter plans are filled up."""
LIMIT = 28
"""No rule adds anything to a plan with so many operations; a rule adds at most a handful."""
CORE_WEIGHT = 2.5
"""How much more often rules come up that a family is about."""
RARE_WEIGHTS = ((0.3, 2.5), (0.6, 1.5))
"""How much more often the rules of a feature come up that is on in few plans only, so that it shows in these:
up to which probability of the feature, and the factor."""
ANY = "any_step"
NO_ARGS: Mapping[str, Arg | None] = {}
OPERATOR: Lane = "operator"
COLLECTOR: Lane = "collector"


@dataclass(frozen=True, slots=True)
class Family:
    """Which plans are drawn for a property.

    ``features``: how probable it is that a feature (a group of operations, a kind of fault) is on in a plan;
    1 means always. ``lanes`` and ``steps``: the least and the most clients, and rules, in a plan.
    ``restart_closing``: how often the closing part restarts the target, where it can. ``core``: features that
    the property is about, whose rules come up more often than the others.
    """

    property: str
    title: str
    features: Mapping[str, float]
    lanes: tuple[int, int] = (1, 3)
    steps: tuple[int, int] = (8, 24)
    restart_closing: float = 0.25
    core: frozenset[str] = frozenset()

    def weight(self, feature: str) -> float:
        """How often rules of a feature come up where it is on, compared with others."""
        probability = self.features.get(feature, 1.0)
        rare = next((factor for most, factor in RARE_WEIGHTS if probability <= most), 1.0)
        return rare * (CORE_WEIGHT if feature in self.core else 1.0)


@dataclass(frozen=True, slots=True)
class Scope:
    """What plans are drawn for: what the target can do, what it promises, and which extra tiers are wanted
    (``"hazard"``: run an offline collector beside pushes anyway)."""

    abilities: Abilities = field(default_factory=Abilities)
    promises: Promises = field(default_factory=Promises)
    tiers: frozenset[str] = frozenset()

    @property
    def collects_online(self) -> bool:
        wanted = self.promises.collection == "online" or "hazard" in self.tiers
        return wanted and self.abilities.can("collect")

    @property
    def collects_offline(self) -> bool:
        return self.promises.collection != "none" and self.abilities.can("collect")


NEEDS: dict[str, Callable[[Scope], bool]] = {
    "blob-delete": lambda scope: scope.abilities.can("blob-delete"),
    "manifest-delete": lambda scope: scope.abilities.can("manifest-delete"),
    "tag-delete": lambda scope: scope.abilities.can("tag-delete"),
    "cancel": lambda scope: scope.abilities.can("upload-cancel"),
    "artifacts": lambda scope: scope.abilities.can("oci"),
    "referrers": lambda scope: scope.abilities.can("referrers"),
    "kill": lambda scope: scope.abilities.can("kill") and scope.abilities.can("restart"),
    "restart": lambda scope: scope.abilities.can("restart"),
    "pause": lambda scope: scope.abilities.can("pause"),
    "power": lambda scope: scope.abilities.can("power") and scope.abilities.can("restart"),
    "strike": lambda scope: all(scope.abilities.can(need) for need in ("syscall", "kill", "restart")),
    "slow": lambda scope: scope.abilities.can("syscall"),
    "disk": lambda scope: scope.abilities.can("disk"),
    "damage": lambda scope: scope.abilities.can("files"),
    "limits": lambda scope: scope.abilities.can("limit"),
    "weather": lambda scope: scope.abilities.can("net"),
    "collect": lambda scope: scope.collects_offline,
    "collect-online": lambda scope: scope.collects_online,
}
"""Features that a target must be able to serve."""


Rule = Callable[[Any], None]


def step(feature: str, *conditions: Callable[[Any], bool]) -> Callable[[Rule], Rule]:
    """A rule of the machines: it may be chosen when its feature is on in this plan and the conditions hold,
    feeds what Hypothesis drew to the dice, and adds nothing to a plan that is full. (To be full is no
    precondition: Hypothesis gives an example up in which no rule is left.)"""

    def decorate(body: Rule) -> Rule:
        def holds(machine: PlanMachine) -> bool:
            return feature in machine.features and all(condition(machine) for condition in conditions)

        def step(machine: PlanMachine, roll: int) -> None:
            machine.dice.feed(roll)
            if not machine.is_full:
                body(machine)

        # Hypothesis switches rules off at random by the name of their function, half of them in a typical
        # example. With one name for all it cannot: which features are on is for the family to say.
        step.__name__, step.__doc__ = ANY, body.__doc__
        holds.__name__ = f"on_{feature.replace('-', '_')}"
        make: Callable[..., Callable[[Callable[..., None]], Rule]] = rule
        made = make(roll=ROLLS)(precondition(holds)(step))
        vars(made)["seatrial_step"] = (feature, holds, body)
        return made

    return decorate


def concurrent(machine: PlanMachine) -> bool:
    return machine.draft.lanes > 1


def alive(machine: PlanMachine) -> bool:
    """The registry has not been killed: a fault of a client can strike."""
    return not machine.draft.dead


def steady(machine: PlanMachine) -> bool:
    """Nobody stands still, and the registry has not been killed."""
    return machine.draft.window is None and not machine.draft.dead


Steps = tuple[tuple[float, Callable[[Any], bool], Callable[[Any], None]], ...]


@lru_cache(maxsize=32)
def _steps(machine: type[PlanMachine]) -> Steps:
    """Weights, conditions and bodies of a machine's rules, by name."""
    found = (getattr(machine, name) for name in dir(machine))
    rules = (value.seatrial_step for value in found if hasattr(value, "seatrial_step"))
    return tuple((machine.family.weight(feature), holds, body) for feature, holds, body in rules)


class PlanMachine(RuleBasedStateMachine):
    """Draws one plan. Subclasses add rules; a family's machine sets the class attributes.

    Rules do no I/O: each adds operations to ``draft``, and ``finish`` gets the plan when the example ends.
    """

    family: ClassVar[Family]
    scope: ClassVar[Scope]
    finish: ClassVar[Callable[[Plan], None]]
    salt: ClassVar[int] = 0
    memory: ClassVar[dict[str, Any]] = {}
    """What rules remember from one plan to the next of a draw."""

    def __init__(self) -> None:
        super().__init__()
        self._handled = sys.exc_info()[1]
        self.draft = Draft()
        self.dice = Dice(self.salt)
        self.features: frozenset[str] = frozenset()
        self.repos: tuple[str, ...] = ("x",)
        self.tag_names: list[str] = ["latest"]
        self.sizes: tuple[tuple[float, int], ...] = SIZES["small"]
        self.closing: Closing = "read"
        self.orphans: list[tuple[str, str]] = []
        """Manifests that something names already and that were not put yet, by repository."""
        self._down = 0

    @initialize(roll=ROLLS)
    def choose(self, roll: int) -> None:
        """The swarm: which features are on, how many clients, which names and sizes."""
        self.dice.feed(roll)
        dice, family, scope = self.dice, self.family, self.scope
        on = [name for name, probability in family.features.items() if dice.chance(probability)]
        self.features = frozenset(name for name in on if name not in NEEDS or NEEDS[name](scope))
        self.draft = Draft(dice.number(*family.lanes))
        names = dice.pick(REPOSITORIES)
        self.repos = tuple(names[: dice.number(1, len(names))])
        pool = [*dice.pick(TAGS), *dice.pick(TAGS)]
        self.tag_names = list(dict.fromkeys(pool))[: dice.number(1, 6)]
        self.sizes = SIZES[dice.weighted(PROFILES)]
        if scope.abilities.can("restart") and dice.chance(family.restart_closing):
            self.closing = "restart"
        self.begin()

    @rule(roll=ROLLS)
    def any_step(self, roll: int) -> None:
        """Any other rule. (Hypothesis favours the first rule by far; here only what a family is about.)"""
        self.dice.feed(roll)
        open_steps = [(weight, body) for weight, holds, body in _steps(type(self)) if holds(self)]
        if not open_steps:
            self.fill()
        elif not self.is_full:
            self.dice.weighted(open_steps)(self)

    def begin(self) -> None:
        """The first operations of a plan: mixins add theirs and call on."""

    def teardown(self) -> None:
        if sys.exc_info()[1] is self._handled and self.features:
            while len(self.draft) < LEAST:
                self.fill()
            type(self).finish(self.draft.build(self.closing))

    def fill(self) -> None:
        """Something plain for a plan that is too short: an image, put and pulled."""
        if self.is_full:
            return
        repo, tag = self.repo(), self.tag()
        self.do("manifest.put", repo=repo, manifest=self.new_image(repo), tag=tag, race=False)
        self.do("image.pull", repo=repo, tag=tag, race=False)

    # --- adding operations ----------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """No rule adds anything any more."""
        return len(self.draft) >= LIMIT

    def can(self, ability: str) -> bool:
        return self.scope.abilities.can(ability)

    def lane(self, other_than: Lane | None = None) -> Lane:
        """A client; not the one that stands still, and where there are others, not ``other_than``."""
        window = self.draft.window
        shut = [window.lane] if window is not None else []
        lanes = [lane for lane in range(1, self.draft.lanes + 1) if lane not in shut]
        others = [lane for lane in lanes if lane != other_than]
        return self.dice.pick(others or lanes or [1])

    def do(
        self,
        kind: str,
        lane: Lane | None = None,
        args: Mapping[str, Arg | None] = NO_ARGS,
        *,
        after: Sequence[str] = (),
        hold: Hold | None = None,
        cut: Cut | None = None,
        strike: Strike | None = None,
        race: bool | None = None,
        id: str | None = None,
        **more: Arg | None,
    ) -> str:
        """Add an operation, and return its id.

        Arguments (``args`` and ``more``) that are ``None`` are left out; ``from_`` and ``with_`` stand for
        those whose names Python keeps for itself. Without ``race``, one in seven starts without waiting for
        what it is about. Heals a kill before long.
        """
        draft = self.draft
        if draft.dead and kind != "restart":
            self._down += 1
            if self._down > 2:
                self._down = 0
                draft.add("restart", OPERATOR)
        if lane is None:
            lane = self.lane() if KINDS[kind].actor == "client" else OPERATOR
        if race is None:
            race = draft.lanes > 1 and self.dice.chance(0.14)
        given = {name.rstrip("_"): value for name, value in {**args, **more}.items() if value is not None}
        return draft.add(kind, lane, given, after=after, hold=hold, cut=cut, strike=strike, race=race, id=id)

    def now(self) -> tuple[str, ...]:
        """The mark of the last operation: what comes after it does not run at the start of the plan."""
        last = self.draft.last
        return (last,) if last is not None else ()

    def docker(self) -> bool:
        """Whether a manifest has Docker's media types."""
        return not self.can("oci") or self.dice.chance(0.12)

    # --- choosing objects -----------------------------------------------------------------------------------

    def repo(self) -> str:
        return self.dice.pick(self.repos)

    def elsewhere(self, repo: str) -> list[str]:
        """The other repositories of this plan."""
        return [other for other in self.repos if other != repo]

    def tag(self) -> str:
        return self.dice.pick(self.tag_names)

    def placed(self, repo: str | None = None) -> tuple[str, str] | None:
        """A blob that may be there, with its repository."""
        found = [key for key in self.draft.placed if repo is None or key[0] == repo]
        return self.dice.recent(found) if found else None

    def held(self, repo: str | None = None, kinds: Sequence[str] = ()) -> tuple[str, str] | None:
        """A manifest that may be there, with its repository."""
        manifests = self.draft.manifests
        found = [
            key
            for key in self.draft.held
            if (repo is None or key[0] == repo) and (not kinds or manifests[key[1]].kind in kinds)
        ]
        return self.dice.recent(found) if found else None

    def new_blob(self, size_bytes: int | None = None) -> str:
        size = self.dice.weighted(self.sizes) if size_bytes is None else size_bytes
        alg = "sha512" if self.can("sha512") and self.dice.chance(0.12) else "sha256"
        return self.draft.new_blob(BlobSpec(size, "sha512" if alg == "sha512" else "sha256"))

    def push(self, repo: str, blob: str, lane: Lane | None = None, **more: Any) -> str:
        """Push a blob, one of the ways."""
        return self.do("blob.push", lane, {"repo": repo, "blob": blob, **self.way(blob)}, **more)

    def way(self, blob: str) -> dict[str, Arg | None]:
        """How a blob is pushed: ``way`` and, for chunks, ``chunks``."""
        size = self.draft.blob_size_bytes(blob)
        way = self.dice.weighted(((2, "put"), (2, "chunked"), (1, "post"), (1, "stream")))
        if way in ("chunked", "stream") and not self.can("chunked"):
            way = "put"
        if way != "chunked":
            return {"way": way}
        return {"way": way, "chunks": self.chunks(size if size is not None else 64)}

    def chunks(self, size: int) -> tuple[int, ...] | None:
        """Sizes of all chunks but the last; ``None`` for one chunk."""
        shapes: list[tuple[int, ...]] = [(1,), (1, 1, 1, 1), (size - 1,), (size // 2,)]
        shapes += [(size // 5,) * 4, (size // 3, size // 3), (4096,), (4096, 1), (1, size - 2)]
        fitting = [shape for shape in shapes if min(shape) > 0 and sum(shape) < size]
        return self.dice.pick(fitting) if fitting else None

    def new_image(self, repo: str) -> str:
        """A new image manifest of one to four blobs, old and new; pushes the new ones."""
        dice = self.dice
        known = [blob for where, blob in self.draft.placed if where == repo]
        blobs = dice.some(known, dice.number(0, min(2, len(known))))
        lane = self.lane()
        while len(blobs) < 1 or (len(blobs) < 4 and dice.chance(0.35)):
            blob = self.new_blob()
            if blob not in blobs:
                self.push(repo, blob, lane)
                blobs.append(blob)
        config = dice.pick(blobs) if dice.chance(0.5) else None
        layers = tuple(blob for blob in blobs if blob != config)
        notes = dice.number(0, 2)
        spec = ManifestSpec("image", config, layers, annotations=notes, docker=self.docker())
        if self.can("sha512-manifest") and dice.chance(0.06):
            spec = replace(spec, alg="sha512")
        return self.draft.new_manifest(spec)

    def ready_manifest(self, repo: str) -> str:
        """A manifest whose blobs may all be in the repository: an old one, or a new image."""
        found = self.held(repo)
        if found is not None and self.dice.chance(0.5):
            return found[1]
        return self.new_image(repo)
