"""Scopes of the Docker token protocol: ``repository:NAME:pull,push`` and ``registry:catalog:*``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .base import CATALOG, Access
from .rights import ACTIONS

_REPOSITORY = "repository"
_CATALOG = ("registry", "catalog")
_ANY_ACTION = "*"


def write_scopes(wanted: Sequence[Access]) -> str:
    """Name everything wanted, each repository once, separated by spaces; empty if nothing is."""
    actions: dict[str | None, dict[str, None]] = {}
    for access in wanted:
        actions.setdefault(access.repository, {}).update(dict.fromkeys(access.actions))
    return " ".join(
        f"{':'.join(_resource(repository))}:{','.join(some)}" for repository, some in actions.items() if some
    )


def read_scopes(texts: Iterable[str]) -> list[Access]:
    """Read scopes, several in a text or one; what is of another kind is left out.

    ``*`` of a repository stands for all there is to do.
    """
    found = []
    for scope in " ".join(texts).split():
        kind, _, rest = scope.partition(":")
        name, colon, listed = rest.rpartition(":")
        if not colon or not name:
            continue
        actions = tuple(dict.fromkeys(listed.split(",")))
        if kind == _REPOSITORY:
            found.append(Access(name, ACTIONS if _ANY_ACTION in actions else actions))
        elif (kind, name) == _CATALOG and CATALOG in actions:
            found.append(Access(None, (CATALOG,)))
    return found


def write_claim(granted: Iterable[Access]) -> list[dict[str, Any]]:
    """The ``access`` claim of a token."""
    claim = []
    for access in granted:
        kind, name = _resource(access.repository)
        claim.append({"type": kind, "name": name, "actions": list(access.actions)})
    return claim


class Granted:
    """What a token's ``access`` claim allows.  What is not of the claim's form allows nothing."""

    def __init__(self, claim: Any) -> None:
        self._actions: dict[tuple[str, str], set[str]] = {}
        for entry in claim if isinstance(claim, list) else ():
            match entry:
                case {"type": str(kind), "name": str(name), "actions": list(actions)}:
                    texts = {action for action in actions if isinstance(action, str)}
                    self._actions.setdefault((kind, name), set()).update(texts)

    def allow(self, access: Access) -> bool:
        actions = self._actions.get(_resource(access.repository), set())
        return _ANY_ACTION in actions or actions.issuperset(access.actions)


def _resource(repository: str | None) -> tuple[str, str]:
    return _CATALOG if repository is None else (_REPOSITORY, repository)
