"""All cases of the protocol table by name."""

from __future__ import annotations

from collections.abc import Mapping

from harness.checkers.protocol import table_api, table_lists, table_names, table_pull, table_push
from harness.checkers.protocol.case import Case

_TABLES = (table_api, table_names, table_pull, table_lists, table_push)

CASES: Mapping[str, Case] = {case.name: case for table in _TABLES for case in table.CASES}
