"""A campaign: each property family gets its share of the budget; what breaks is shrunk, saved and counted.

A finding does not end the hunt. Findings are told apart first by signature and kinds of operations, and
after shrinking once more; plans that would only show again what is known are trimmed before they run.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.checkers.finding import LOUD, Finding, Report
from harness.checkers.sometimes import SOMETIMES, reached
from harness.history import History
from harness.machines import FAMILIES, Scope, StopDrawing, draw
from harness.plan.codec import Expect, Scenario, dump, needs_of
from harness.plan.plan import Plan
from harness.report.findings_json import Known
from harness.report.result import FoundFinding, PropertyResult, RunResult, Status
from harness.report.transcript import transcript
from harness.run.keep import Keeper
from harness.run.names import finding_id, raw_key
from harness.run.not_tried import not_tried
from harness.run.options import Options
from harness.run.steering import Steering
from harness.run.trial import Trial
from harness.shrink import Budget, Shrunk, SpentError, shrink
from harness.targets.base import TargetError

BATCH = 25
"""Plans drawn with one Hypothesis seed; a family goes on with the next seed while it has time."""
SAME_CHECK_MAX = 2
"""How often one check is shrunk anew, when other kinds of operations seem to be involved."""
SHRINK_SHARE = 4.0
"""Shrinking may take so many times the budget for exploring, all findings together."""
WEIGHTS = {"P2": 1.5, "P3": 1.5, "P6": 1.5, "P8": 0.5, "P12": 2.0}
"""How the budget is shared between the families; 1 where nothing is said."""
RECORD_TRIES = 3
PLANS_MIN = 10
PATIENCE = 2.5
"""A family that has not run so many plans within its share goes on for so many times its share."""
UNANSWERED_MAX = 2
SHRINK_LIMIT_SHARE = 0.7
"""How long shrinking one finding may take, as a share of the budget for exploring: a registry that hangs
makes every execution slow."""
CONFIRM_LIMIT_SHARE = 0.9
"""The same for shrinking it and learning how often the result fails."""
QUIET_EXECUTIONS = 8


@dataclass
class Tally:
    """What was tried of one property, over all families."""

    plans: int = 0
    operations: int = 0
    exchanges: int = 0
    facts: int = 0
    elapsed_s: float = 0.0
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass
class Campaign:
    """Not thread-safe. ``progress`` gets one line for a person now and then."""

    trial: Trial
    options: Options
    keeper: Keeper
    known: Known
    progress: Callable[[str], None] = lambda line: None
    tallies: dict[str, Tally] = field(default_factory=dict)
    found: dict[str, FoundFinding] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    families: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    steering: Steering = field(default_factory=Steering)
    over: str | None = None
    _unanswered: int = 0
    _seen: Counter[tuple[object, ...]] = field(default_factory=Counter)
    _raw: dict[tuple[object, ...], str | None] = field(default_factory=dict)
    _executions: int = 0
    _shrinking_s: float = 0.0

    def __post_init__(self) -> None:
        for id_ in FAMILIES:
            self.tallies.setdefault(id_, Tally())

    @property
    def target_option(self) -> str:
        """The options that name this target on a command line."""
        if self.options.target is not None:
            return f"--target {self.options.target}"
        return f"--target-file {self.options.target_file or 'reference'}"

    @property
    def scope(self) -> Scope:
        return Scope(self.trial.abilities, self.trial.promises, self.options.tiers)

    def family(self, id_: str) -> list[FoundFinding]:
        """Spend a family's share of the budget; the findings that are new."""
        share = WEIGHTS.get(id_, 1.0) / sum(WEIGHTS.get(family, 1.0) for family in FAMILIES)
        budget_s = self.options.limits.budget_s * share
        before = set(self.found)
        self.families.append(id_)
        begun, shrunk_before = time.monotonic(), self._shrinking_s
        batch = 0

        def spent_s() -> float:
            return time.monotonic() - begun - (self._shrinking_s - shrunk_before)

        plans = 0

        def over() -> bool:
            return spent_s() >= budget_s * (1.0 if plans >= PLANS_MIN else PATIENCE)

        def one(plan: Plan) -> None:
            nonlocal plans
            if over():
                raise StopDrawing
            plans += 1
            self.try_plan(plan)

        while not over():
            executed = self.trial.executions
            draw(id_, seed=seed_of(self.options.seed, id_, batch), examples=BATCH, scope=self.scope, run=one)
            batch += 1
            if self.trial.executions == executed:
                break  # nothing can be drawn for this target
        self.tallies[id_].elapsed_s += time.monotonic() - begun
        return [found for key, found in self.found.items() if key not in before]

    def try_plan(self, plan: Plan) -> None:
        """Run one plan, judge it, and look into what is new."""
        if self.over is not None:
            raise StopDrawing
        self.digests.append(plan.digest)
        plan = self.steering.trim(plan)
        try:
            history = self.trial.run(plan, path=self.keeper.current())
        except TargetError as error:
            self._end(str(error))
            raise StopDrawing from None
        reports = self.trial.judge(history)
        self._count(plan, history, reports)
        self._watch(history)
        new = [f for report in reports.values() for f in report.findings if self._is_new(plan, f)]
        if new:
            path = self.keeper.keep(history)
            for finding in new:
                self._investigate(plan, finding, path)

    def _count(self, plan: Plan, history: History, reports: dict[str, Report]) -> None:
        self.reached |= reached(history)
        for control in history.what("fault.missed", "limit", "trouble"):
            self.missed[control.what] += 1
        for id_, report in reports.items():
            tally = self.tallies.setdefault(id_, Tally())
            tally.unknown.update(report.unknown)
            if report.tried:
                tally.plans += 1
                tally.operations += len(plan)
                tally.exchanges += len(history.exchanges)
                tally.facts += report.tried

    def _watch(self, history: History) -> None:
        """See whether the target is still there: a run in which nothing was answered ends the campaign when
        it happens twice in a row."""
        if any(exchange.status is not None for exchange in history.exchanges) or not history.exchanges:
            self._unanswered = 0
            return
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_MAX:
            last = history.exchanges[-1]
            self._end(f"{self.trial.target.name} stopped answering ({last.error}: {last.detail})")

    def _end(self, why: str) -> None:
        self.over = why
        self.progress(why)

    def _is_new(self, plan: Plan, finding: Finding) -> bool:
        """Counts it, and says whether it deserves to be shrunk."""
        key = raw_key(plan, finding)
        if key in self._raw and not self._deserves_another(finding, self._raw[key]):
            id_ = self._raw[key]
            if id_ is not None:
                self.found[id_] = replace(self.found[id_], count=self.found[id_].count + 1)
            return False
        known = self._subsumed(plan, finding)
        if known is not None:
            self._raw[key] = known
            self.found[known] = replace(self.found[known], count=self.found[known].count + 1)
            return False
        self._seen[finding.signature] += 1
        if key not in self._raw and self._seen[finding.signature] > SAME_CHECK_MAX:
            self._raw[key] = None
            return False
        return True

    def _deserves_another(self, finding: Finding, id_: str | None) -> bool:
        """Whether a finding is known, but only from plans that never showed it again."""
        return (
            id_ is not None
            and not self.found[id_].rate[0]
            and finding.level in LOUD
            and self._seen[finding.signature] < SAME_CHECK_MAX + 1
        )

    def _subsumed(self, plan: Plan, finding: Finding) -> str | None:
        """A known finding of the same signature and level whose shrunk witness this plan could show again."""
        here = {op.do for op in plan}
        for id_, found in self.found.items():
            same = found.finding.signature == finding.signature and found.finding.level == finding.level
            witness = {found.plan[name].do for name in found.finding.witness if name in found.plan}
            if same and found.rate[0] and witness <= here:
                return id_
        return None

    def _investigate(self, plan: Plan, finding: Finding, history: Path | None) -> None:
        key = raw_key(plan, finding)
        begun = time.monotonic()
        limits = self.options.limits
        late = self._shrinking_s > limits.budget_s * SHRINK_SHARE
        loud = finding.level in LOUD and not late
        budget = Budget(
            executions=limits.shrink if loud else QUIET_EXECUTIONS,
            confirmations=limits.confirm if loud else 2,
        )
        self.progress(f"{finding.property}  found: {finding.title}; shrinking {len(plan)} operations")
        deadlines = [begun + limits.budget_s * share for share in (SHRINK_LIMIT_SHARE, CONFIRM_LIMIT_SHARE)]

        def attempt(candidate: Plan) -> list[Finding]:
            if self.over is not None:
                return []
            if time.monotonic() > deadlines[0]:
                # Once to end the search; what came of it is still replayed, until that takes too long, too.
                if len(deadlines) > 1:
                    del deadlines[0]
                raise SpentError
            try:
                return self.trial.findings(candidate)
            except TargetError as error:
                self._end(str(error))
                return []

        shrunk = shrink(plan, finding, attempt, budget=budget)
        self._shrinking_s += time.monotonic() - begun
        final = shrunk.finding
        id_ = finding_id(shrunk.plan, final)
        self._raw[key] = id_
        self._raw[raw_key(shrunk.plan, final)] = id_
        count = 1 + (self._merge(id_, final) if shrunk.rate[0] else 0)
        if id_ in self.found:
            self.found[id_] = replace(self.found[id_], count=self.found[id_].count + 1)
            return
        scenario = self._save(id_, shrunk)
        history = self._record(id_, shrunk) or history
        self.found[id_] = FoundFinding(
            id_,
            final,
            shrunk.plan,
            str(scenario),
            str(history or ""),
            shrunk.rate,
            shrunk.executions,
            len(plan),
            count=count,
            known=self.known.matches(final, shrunk.plan),
        )
        self.steering.learn(shrunk.plan, final)
        self.progress(
            f"{final.property}  {id_}: {len(shrunk.plan)} operations,"
            f" {shrunk.executions} executions, replays {shrunk.rate[0]} of {shrunk.rate[1]}"
        )

    def _merge(self, id_: str, finding: Finding) -> int:
        """Now that a plan shows the finding again and again, those that never did are no findings of their
        own; returns how often they were seen."""
        unsure = [
            old
            for old, found in self.found.items()
            if not found.rate[0]
            and found.finding.signature == finding.signature
            and found.finding.level == finding.level
        ]
        count = sum(self.found.pop(old).count for old in unsure)
        for key, known in self._raw.items():
            if known in unsure:
                self._raw[key] = id_
        return count

    def _record(self, id_: str, shrunk: Shrunk) -> Path | None:
        """Run the shrunk plan once more, and keep its history and its requests where it shows the finding."""
        if self.over is not None or not shrunk.rate[0]:
            return None
        for _ in range(RECORD_TRIES):
            history = self.trial.run(shrunk.plan, path=self.keeper.current())
            same = next(
                (f for f in self.trial.found(history) if f.signature == shrunk.finding.signature), None
            )
            if same is not None:
                self.keeper.transcribe(id_, transcript(history, only=same.exchanges))
                return self.keeper.keep(history, id_)
        return None

    def _save(self, id_: str, shrunk: Shrunk) -> Path:
        finding = shrunk.finding
        scenario = Scenario(
            title=finding.title,
            plan=shrunk.plan,
            needs=needs_of(shrunk.plan),
            expect=Expect(finding.property, finding.witness, finding.check, finding.clause),
            about=f"found by seatrial against {self.trial.target.name}, seed {self.options.seed}",
            rate=f"{shrunk.rate[0]} of {shrunk.rate[1]}",
            seed=self.options.seed,
        )
        return self.keeper.save(id_, dump(scenario))

    # --- what it came to -----------------------------------------------------------------------------------

    def result(self) -> RunResult:
        findings = tuple(self.found.values())
        properties = tuple(self.result_of(id_) for id_ in FAMILIES)
        red = any(found.finding.red and not found.known for found in findings)
        ran = any(p.plans for p in properties)
        inconclusive = self.options.strict and any(p.status == "inconclusive" for p in properties)
        return RunResult(
            self.trial.target.name,
            self.options.seed,
            self.options.profile,
            properties,
            findings,
            self._not_tried(),
            time.monotonic() - self.started,
            1 if red or inconclusive or not ran else 0,
        )

    def _not_tried(self) -> tuple[tuple[str, str], ...]:
        rows = not_tried(self.trial, self.options)
        return ((("everything after that", self.over), *rows)) if self.over is not None else rows

    def result_of(self, id_: str) -> PropertyResult:
        tally = self.tallies[id_]
        missed = self.missed_sometimes(id_)
        made = tuple(name for name, s in SOMETIMES.items() if s.property == id_ and name in self.reached)
        red = [f for f in self.found.values() if f.finding.property == id_ and f.finding.red and not f.known]
        reasons: list[str] = []
        status: Status = "held"
        if not tally.plans:
            status = "skipped"
            reasons.append("nothing of it could be tried against this target")
        elif red:
            status = "violated"
        elif missed or tally.unknown or self.over is not None:
            status = "inconclusive"
        if self.over is not None:
            reasons.append(self.over)
        reasons += [f"never happened: {SOMETIMES[name].words}" for name in missed]
        here = [found.finding for found in self.found.values() if found.finding.property == id_]
        if hazards := sum(finding.level == "hazard" for finding in here):
            reasons.append(f"{hazards} hazards when an offline collector runs beside pushes: see below")
        reasons += [f"undecided {n} times: {why}" for why, n in tally.unknown.most_common(3)]
        return PropertyResult(
            id_,
            FAMILIES[id_].title,
            status,
            tally.plans,
            tally.operations,
            tally.exchanges,
            tally.facts,
            tally.elapsed_s,
            tuple(reasons),
            made,
            tuple(missed),
        )

    def missed_sometimes(self, id_: str) -> list[str]:
        def can(need: str) -> bool:
            if need == "collection":
                return self.trial.promises.collection == "online" or self.trial.abilities.can("collect")
            return self.trial.abilities.can(need)

        return [
            name
            for name, sometimes in SOMETIMES.items()
            if sometimes.property == id_ and name not in self.reached and all(can(n) for n in sometimes.needs)
        ]


def seed_of(seed: int, family: str, batch: int) -> int:
    """The Hypothesis seed of one batch: a pure function of its arguments."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{family}/{batch}".encode()).digest()[:8], "big")
