"""The table of active cases: what operations of kind ``request`` send, and what may be answered.

To send one: take ``CASES[op["case"]]``, skip it where the target cannot do what ``case.needs`` names, render
it with the location of the operation's ``upload`` (a plan opens that session just for it where
``case.session``), send exactly that, and record the exchange with the call ``request`` and the operation's
arguments in ``about``. `verdict` says what is wrong with the answer.
"""

from harness.checkers.protocol.case import Case, Rendered, render
from harness.checkers.protocol.table import CASES
from harness.checkers.protocol.verdict import verdict

__all__ = ["CASES", "Case", "Rendered", "render", "verdict"]
