"""Rights: which account may do what in which repository."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import CATALOG, DELETE, PULL, PUSH, Access
from .settings import EVERY_ACCOUNT, NO_ACCOUNT, BadSettings, Rule

ACTIONS = (PULL, PUSH, DELETE)
_CATALOG_RIGHT = "catalog"
_EVERYTHING = (*ACTIONS, _CATALOG_RIGHT)
_PATTERN = re.compile(r"[a-z0-9._/*-]+")
_WILDCARD = re.compile(r"\*\*|\*")

EVERYONE_EVERYTHING = (Rule(EVERY_ACCOUNT, "**", _EVERYTHING),)
ANONYMOUS_PULL = Rule(NO_ACCOUNT, "**", (PULL,))


class Rights:
    """A table of rules, each of which allows something; what none allows is forbidden.

    What ``anonymous`` may do, everyone may.  Raises BadSettings.
    """

    def __init__(self, rules: Sequence[Rule] = (), *, anonymous_pull: bool = False) -> None:
        table = [*(rules or EVERYONE_EVERYTHING), *([ANONYMOUS_PULL] if anonymous_pull else [])]
        self._rules = [_compiled(rule, number) for number, rule in enumerate(table, 1)]

    def granted(self, account: str | None, access: Access) -> tuple[str, ...]:
        """Return those of the wanted actions that the account may do, in the same order."""
        return tuple(action for action in access.actions if self._allows(account, access.repository, action))

    def allow(self, account: str | None, access: Access) -> bool:
        """Whether the account may do all of it."""
        if access.repository is None and not access.actions:
            return account is not None
        return self.granted(account, access) == access.actions

    def give_anonymous_anything(self) -> bool:
        return any(account == NO_ACCOUNT for account, _, _ in self._rules)

    def _allows(self, account: str | None, repository: str | None, action: str) -> bool:
        if repository is None:
            right, name = (_CATALOG_RIGHT if action == CATALOG else ""), ""
        else:
            right, name = (action if action in ACTIONS else ""), repository
        return any(
            right in actions and _is_meant(whose, account) and pattern.fullmatch(name)
            for whose, pattern, actions in self._rules
        )


_Compiled = tuple[str, re.Pattern[str], frozenset[str]]


def _is_meant(whose: str, account: str | None) -> bool:
    return whose == NO_ACCOUNT or (account is not None and whose in (EVERY_ACCOUNT, account))


def _compiled(rule: Rule, number: int) -> _Compiled:
    where = f"auth.rules: rule {number}"
    if not rule.account:
        raise BadSettings(f"{where}: account is empty: give a name, '*' or 'anonymous'")
    if not _PATTERN.fullmatch(rule.repository):
        raise BadSettings(
            f"{where}: repository {rule.repository!r} cannot match any: names are of a-z 0-9 . _ - /,"
            " with * and ** for anything"
        )
    unknown = sorted(set(rule.actions) - set(_EVERYTHING))
    if unknown or not rule.actions:
        wrong = f"unknown action {unknown[0]!r}" if unknown else "no actions"
        raise BadSettings(f"{where}: {wrong}: there are {', '.join(_EVERYTHING)}")
    if _CATALOG_RIGHT in rule.actions and rule.repository != "**":
        raise BadSettings(f"{where}: catalog lists the whole registry: give it with repository = '**'")
    return rule.account, _regex(rule.repository), frozenset(rule.actions)


def _regex(pattern: str) -> re.Pattern[str]:
    parts = []
    position = 0
    for wildcard in _WILDCARD.finditer(pattern):
        parts.append(re.escape(pattern[position : wildcard.start()]))
        parts.append(".*" if wildcard.group() == "**" else "[^/]*")
        position = wildcard.end()
    return re.compile("".join(parts) + re.escape(pattern[position:]))
