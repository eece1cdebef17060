"""Tags as registers: is there an order of the operations that explains every read?

Just-in-time linearization (G. Lowe, *Testing for linearizability*, 2017; after Wing and Gong, 1993):
operations are taken in the order of their invocations and responses, and a configuration (value, operations
that took effect but have not returned) is a possibility. When an operation returns, each configuration in
which it has not taken effect is extended by every sequence of pending operations that ends with it. No
configuration left means that no order exists, and the operation that returned is the one that cannot be
placed.

Exact, also for repeated values, for removals that depend on the value (``delete_if``), and for operations
that may never have happened: those are pending for ever, and may be left out. Reads take effect as soon as
the value is theirs, which loses nothing, because they change nothing. Of two configurations that agree, the
one that used up fewer optional operations covers the other. Cost: exponential only in the number of
*concurrent* writes of one tag; a budget of configurations bounds it, and over budget the verdict is
*unknown*, never *held*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.history import FOREVER_NS
from harness.model.facts import ANY, TagOp

NODES_MAX = 20_000
"""Configurations that may be made between two quiet moments of a tag."""

State = str | None
Config = tuple[State, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Violation:
    """``read`` cannot be placed. ``expected``: the values that were possible just before it returned.
    ``witness``: operations that already exclude it, in order, ``read`` last. ``forcing``: the one of them
    that set what the read missed (or removed what it saw); `None` where nobody ever wrote what it saw."""

    read: TagOp
    expected: frozenset[State]
    witness: tuple[TagOp, ...]
    forcing: TagOp | None


@dataclass(slots=True)
class Verdict:
    violations: list[Violation] = field(default_factory=list)
    unknown: bool = False


def check(ops: Sequence[TagOp], initial: Iterable[State] = (None,), nodes_max: int = NODES_MAX) -> Verdict:
    """Judge all operations on one tag. After a violation the register may be what it was or what was read,
    and the search goes on, so that one defect does not hide another."""
    ops = _relevant(ops)
    search = _Search(ops, frozenset(initial), nodes_max)
    verdict = Verdict()
    for read, expected in search.run():
        verdict.violations.append(_explain(ops, read, expected, frozenset(initial)))
    verdict.unknown = search.exhausted
    return verdict


def _relevant(ops: Sequence[TagOp]) -> list[TagOp]:
    """Without optional writes of values that nobody reads or removes: leaving one out is never worse, unless
    a read of any value could have used it."""
    read = {op.value for op in ops if op.kind in ("read", "delete_if")}
    return [
        op
        for op in ops
        if not (op.optional and op.kind == "write" and op.value not in read and ANY not in read)
        and not (op.kind == "read" and (op.optional or op.end_ns >= FOREVER_NS))
    ]


class _Search:
    def __init__(self, ops: list[TagOp], initial: frozenset[State], nodes_max: int) -> None:
        self.ops, self.nodes_max = ops, nodes_max
        self.nodes, self.exhausted = 0, False
        self.configs: set[Config] = {(state, frozenset()) for state in initial}
        self.pending: dict[int, None] = {}
        """Invoked and not returned, in the order of the invocations."""
        self.values: frozenset[State] = frozenset(
            {None, *(op.value for op in ops if op.value != ANY), *initial}
        )

    def run(self) -> Iterable[tuple[TagOp, frozenset[State]]]:
        """Reads that cannot be placed, with what was possible instead."""
        events: list[tuple[int, int, int]] = []
        for i, op in enumerate(self.ops):
            events.append((op.start_ns, 0, i))
            if op.end_ns < FOREVER_NS:
                events.append((op.end_ns, 1, i))
        events.sort()
        for _, is_return, i in events:
            if self.exhausted:
                return
            if not is_return:
                self.pending[i] = None
                if self.ops[i].kind == "read":
                    self.configs = {self._settle(state, done) for state, done in self.configs}
                continue
            expected = self._return(i)
            if expected is not None:
                yield self.ops[i], expected

    def _return(self, i: int) -> frozenset[State] | None:
        op = self.ops[i]
        found: set[Config] = set()
        for config in self.configs:
            if i in config[1]:
                found.add(config)
                continue
            if op.optional:
                found.add(config)
            found |= self._reach(config, i)
            if self.exhausted:
                return None
        expected = None
        if not found:
            # Only a read can fail to be placed: writes and removals are possible in every state.
            expected = frozenset(state for state, _ in self.configs)
            found = {*self.configs, *((self._value_of(op), done) for _, done in self.configs)}
        self.pending.pop(i, None)
        self.configs = self._prune({(state, done - {i}) for state, done in found})
        if all(self._lasting(other) for other in self.pending):
            self.nodes = 0
        return expected

    def _value_of(self, read: TagOp) -> State:
        if read.value != ANY:
            return read.value
        return next((op.value for op in self.ops if op.kind == "write" and op.start_ns <= read.end_ns), None)

    def _lasting(self, i: int) -> bool:
        return self.ops[i].end_ns >= FOREVER_NS

    def _reach(self, config: Config, goal: int) -> set[Config]:
        """Configurations in which ``goal`` has taken effect, last of all."""
        found: set[Config] = set()
        seen = {config}
        stack = [config]
        while stack:
            state, done = stack.pop()
            for i in self._open(done):
                if self.ops[i].kind == "read" and i != goal:
                    continue
                for after in self._apply(state, self.ops[i]):
                    self.nodes += 1
                    if self.nodes > self.nodes_max:
                        self.exhausted = True
                        return found
                    reached = self._settle(after, done | {i})
                    if goal in reached[1]:
                        found.add(reached)
                    elif reached not in seen:
                        seen.add(reached)
                        stack.append(reached)
        return found

    def _open(self, done: frozenset[int]) -> Iterable[int]:
        """Pending operations that did not take effect. Of those that never return and do the same, the first
        stands for all: which of them took effect makes no difference from now on."""
        equal: set[tuple[str, State]] = set()
        for i in self.pending:
            if i in done:
                continue
            if self._lasting(i):
                what = (self.ops[i].kind, self.ops[i].value)
                if what in equal:
                    continue
                equal.add(what)
            yield i

    def _apply(self, state: State, op: TagOp) -> tuple[State, ...]:
        if op.kind == "write":
            return (op.value,)
        if op.kind == "delete":
            return (None,)
        if op.kind == "delete_if":
            return (None,) if state == op.value else (state,)
        if op.kind == "wild":
            return tuple(self.values)
        return (state,) if _reads(op, state) else ()

    def _settle(self, state: State, done: frozenset[int]) -> Config:
        """With every pending read of this value placed here."""
        now = {
            i
            for i in self.pending
            if i not in done and self.ops[i].kind == "read" and _reads(self.ops[i], state)
        }
        return state, done | now if now else done

    def _prune(self, configs: set[Config]) -> set[Config]:
        if len(configs) < 2:
            return configs
        groups: dict[tuple[State, frozenset[int]], list[frozenset[int]]] = {}
        for state, done in configs:
            used = frozenset(i for i in done if self.ops[i].optional)
            groups.setdefault((state, done - used), []).append(used)
        kept: set[Config] = set()
        for (state, done), uses in groups.items():
            least: list[frozenset[int]] = []
            for used in sorted(uses, key=len):
                if not any(other <= used for other in least):
                    least.append(used)
            kept.update((state, done | used) for used in least)
        return kept


def _reads(read: TagOp, state: State) -> bool:
    return state is not None if read.value == ANY else read.value == state


def possible(ops: Sequence[TagOp], initial: frozenset[State] = frozenset({None})) -> bool | None:
    """Whether every read can be placed; `None` over budget."""
    search = _Search(list(ops), initial, NODES_MAX)
    for _ in search.run():
        return False
    return None if search.exhausted else True


def _explain(
    ops: Sequence[TagOp], read: TagOp, expected: frozenset[State], initial: frozenset[State]
) -> Violation:
    """Few operations that already exclude the read: all that could have made what it saw, and one or two that
    force something else. Everything that could have helped the read stays in, so that the proof is one."""
    makers = [
        op
        for op in ops
        if op is not read and op.kind != "read" and op.start_ns <= read.end_ns and _makes(op, read)
    ]
    if read.value is not None and not makers and read.value not in initial:
        return Violation(read, expected, (read,), None)
    others = [
        op
        for op in ops
        if op is not read and not op.optional and op.end_ns < read.start_ns and not _makes(op, read)
    ]
    others = [op for op in others if not (op.kind == "read" and _reads_alike(op, read))]
    others.sort(key=lambda op: (op.end_ns, op.kind != "read"), reverse=True)
    for forcing in sorted(others[:8], key=lambda op: op.kind == "read"):
        helping = [op for op in ops if op.kind != "read" and (_makes(op, read) or _makes(op, forcing))]
        if read.value is None:
            removed = {op.value for op in makers if op.kind == "delete_if"}
            helping += [op for op in ops if op.kind == "write" and op.value in removed]
        trial = _ordered({*makers, *helping, forcing, read})
        if possible(trial, initial) is False:
            origin = _latest(makers, read)
            writer = _latest([op for op in ops if op.kind != "read" and _makes(op, forcing)], forcing)
            chosen = {forcing, read, *((origin,) if origin else ())}
            if forcing.kind == "read" and writer is not None:
                chosen.add(writer)
            return Violation(read, expected, _ordered(chosen), forcing)
    near = sorted(others, key=lambda op: op.end_ns)[-4:]
    last = next((op for op in reversed(near) if op.kind != "read"), near[-1] if near else None)
    return Violation(read, expected, _ordered({*near, read}), last)


def _makes(op: TagOp, other: TagOp) -> bool:
    """Whether an operation may set the register to what ``other`` read or wrote."""
    if op.kind == "read":
        return False
    if op.kind == "wild":
        return True
    if other.kind == "read":
        if other.value is None:
            return op.kind in ("delete", "delete_if")
        return op.kind == "write" and (other.value in (ANY, op.value))
    return False


def _reads_alike(one: TagOp, other: TagOp) -> bool:
    return one.value == other.value or (
        ANY in (one.value, other.value) and None not in (one.value, other.value)
    )


def _latest(ops: list[TagOp], before: TagOp) -> TagOp | None:
    begun = [op for op in ops if op.start_ns <= before.end_ns]
    return max(begun, key=lambda op: op.start_ns) if begun else None


def _ordered(ops: Iterable[TagOp]) -> tuple[TagOp, ...]:
    return tuple(sorted(set(ops), key=lambda op: (op.start_ns, op.index)))
