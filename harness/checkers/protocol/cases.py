"""The table of active cases: what operations of kind ``request`` send, and what may be answered.

To send one: take ``CASES[op["case"]]``, skip it where the target cannot do what ``case.needs`` names, render
it with the location of the operation's ``upload`` (a plan opens that session just for it where
``case.session``), send exactly that, and record the exchange with the call ``request``.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.checkers.protocol import table_api, table_lists, table_names, table_pull, table_push
from harness.checkers.protocol.case import Case, Rendered, render

__all__ = ["CASES", "Case", "Rendered", "render"]

CASES: Mapping[str, Case] = {
    case.name: case
    for table in (table_api, table_names, table_pull, table_lists, table_push)
    for case in table.CASES
}
