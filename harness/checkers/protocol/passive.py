"""The checks on ordinary exchanges, by call: what a registry says in passing.

Cost: constant for an exchange, apart from lists (linear in their entries); judging 300 exchanges takes a few
milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from harness.checkers.protocol import discovery, general, pull, push
from harness.checkers.protocol.answer import Answer, Flaw
from harness.checkers.protocol.known import Known
from harness.history import CALLS

PassiveCheck = Callable[[Answer, Known], Iterator[Flaw]]

CHECKS: Mapping[str, tuple[PassiveCheck, ...]] = {
    call: (*pull.CHECKS.get(call, ()), *push.CHECKS.get(call, ()), *discovery.CHECKS.get(call, ()))
    for call in CALLS
}
ROWS_CITED = general.ROWS_CITED | pull.ROWS_CITED | push.ROWS_CITED | discovery.ROWS_CITED
"""All rows that a check of ordinary exchanges can find broken."""


def count(call: str) -> int:
    """How many facts an answered exchange of that call is checked for."""
    return len(general.EVERY) + len(CHECKS.get(call, ()))


def flaws(answer: Answer, known: Known) -> Iterator[Flaw]:
    """Everything that is wrong with one answer. An answer to a request that was cut off, or of a server
    error, says nothing here."""
    if answer.exchange.cut is not None or answer.status >= 500:
        return
    for check in general.EVERY:
        yield from check(answer)
    for passive in CHECKS.get(answer.call, ()):
        yield from passive(answer, known)
