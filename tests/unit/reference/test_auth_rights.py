"""Rights: the table of rules."""

from __future__ import annotations

import pytest

from reference_impl.auth.base import CATALOG, DELETE, PULL, PUSH, Access
from reference_impl.auth.rights import Rights
from reference_impl.auth.scopes import Granted, read_scopes, write_claim, write_scopes
from reference_impl.auth.settings import BadSettings, Rule

CATALOG_ACCESS = Access(None, (CATALOG,))
PING = Access(None, ())


def test_without_rules_accounts_may_do_everything_and_anonymous_nothing() -> None:
    rights = Rights()
    for access in (Access("a/b", (PULL, PUSH, DELETE)), CATALOG_ACCESS, PING):
        assert rights.allow("alice", access)
        assert not rights.allow(None, access)
    assert not rights.allow(None, Access("a", (PULL,)))
    assert not rights.give_anonymous_anything()


def test_anonymous_pull() -> None:
    for rules in ((), (Rule("alice", "team/**", ("pull", "push")),)):
        rights = Rights(rules, anonymous_pull=True)
        assert rights.give_anonymous_anything()
        for who in (None, "alice", "bob"):
            assert rights.allow(who, Access("other/x", (PULL,)))
        assert not rights.allow(None, Access("team/x", (PULL, PUSH)))
        assert not rights.allow(None, CATALOG_ACCESS)
        assert not rights.allow(None, PING)
    assert not Rights((Rule("alice", "team/**", ("pull",)),), anonymous_pull=True).allow(
        "bob", Access("team/x", (PULL, PUSH))
    )


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("**", ["a", "a/b", "a/b/c"], []),
        ("*", ["a", "a-b"], ["a/b"]),
        ("team/*", ["team/a"], ["team", "team/a/b", "teamx/a", "xteam/a"]),
        ("team/**", ["team/a", "team/a/b"], ["team", "teamx/a"]),
        ("team/*/app", ["team/x/app"], ["team/app", "team/x/y/app", "team/x/app/y"]),
        ("team/app-*", ["team/app-", "team/app-1"], ["team/app", "team/app-1/x"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    rights = Rights((Rule("alice", pattern, ("pull",)),))
    assert [name for name in matching if rights.allow("alice", Access(name, (PULL,)))] == matching
    assert [name for name in others if rights.allow("alice", Access(name, (PULL,)))] == []


def test_rules_add_up() -> None:
    rights = Rights(
        (
            Rule("*", "shared/**", ("pull",)),
            Rule("alice", "shared/**", ("push",)),
            Rule("anonymous", "public/*", ("pull",)),
            Rule("root", "**", ("catalog", "delete")),
        )
    )
    assert rights.allow("alice", Access("shared/x", (PULL, PUSH)))
    assert rights.granted("bob", Access("shared/x", (PUSH, PULL, DELETE))) == (PULL,)
    assert rights.granted("alice", Access("shared/x", (PUSH, PULL, DELETE))) == (PUSH, PULL)
    assert rights.allow(None, Access("public/x", (PULL,)))
    assert rights.allow("bob", Access("public/x", (PULL,)))
    assert rights.granted(None, Access("shared/x", (PULL,))) == ()
    assert rights.allow("root", CATALOG_ACCESS)
    assert not rights.allow("alice", CATALOG_ACCESS)
    assert rights.granted("root", Access("x", (PULL, DELETE))) == (DELETE,)
    assert rights.granted("root", Access("x", (CATALOG, "catalog", ""))) == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("", "**"), "rule 2: account is empty"),
        (Rule("a", "Team/**"), "rule 2: repository 'Team/**' cannot match any"),
        (Rule("a", ""), "rule 2: repository '' cannot match any"),
        (Rule("a", "**", ("pull", "write")), "rule 2: unknown action 'write'"),
        (Rule("a", "**", ()), "rule 2: no actions"),
        (Rule("a", "team/**", ("catalog",)), "rule 2: catalog lists the whole registry"),
    ],
)
def test_rules_that_mean_nothing(rule: Rule, said: str) -> None:
    with pytest.raises(BadSettings, match=r"^auth\.rules: ") as caught:
        Rights((Rule("a"), rule))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scopes_there_and_back() -> None:
    assert write_scopes([Access("a/b", (PULL, PUSH)), Access("c", (PULL,))]) == (
        "repository:a/b:pull,push repository:c:pull"
    )
    assert write_scopes([Access("a", (PULL, PUSH)), Access("a", (PULL,))]) == "repository:a:pull,push"
    assert write_scopes([CATALOG_ACCESS]) == "registry:catalog:*"
    assert write_scopes([PING]) == ""
    read = read_scopes(["repository:a/b:pull,push repository:host:5000/c:pull", "registry:catalog:*"])
    assert read == [Access("a/b", (PULL, PUSH)), Access("host:5000/c", (PULL,)), CATALOG_ACCESS]
    assert read_scopes(["repository:a:*"]) == [Access("a", (PULL, PUSH, DELETE))]
    assert read_scopes(["", "x", "repository:a", "repository::pull", "plugin:a:pull", "registry:x:*"]) == []


def test_claims() -> None:
    granted = Granted(write_claim([Access("a", (PULL,)), Access("a", (PUSH,)), CATALOG_ACCESS]))
    assert granted.allow(Access("a", (PULL, PUSH)))
    assert granted.allow(CATALOG_ACCESS)
    assert not granted.allow(Access("a", (DELETE,)))
    assert not granted.allow(Access("a/b", (PULL,)))
    any_action = Granted([{"type": "repository", "name": "a", "actions": ["*"]}])
    assert any_action.allow(Access("a", (PULL, DELETE)))
    assert not any_action.allow(CATALOG_ACCESS)


@pytest.mark.parametrize(
    "claim",
    [
        None, "repository:a:pull", {}, 5, [None], ["repository:a:pull"], [{"name": "a", "actions": ["pull"]}],
        [{"type": "repository", "name": "a", "actions": "pull"}],
        [{"type": "repository", "name": ["a"], "actions": ["pull"]}],
        [{"type": "repository", "name": "a", "actions": [["pull"], None, 1]}],
        {"type": "repository", "name": "a", "actions": ["pull"]},
    ],
)  # fmt: skip
def test_malformed_claims_allow_nothing(claim: object) -> None:
    assert not Granted(claim).allow(Access("a", (PULL,)))
    assert Granted(claim).allow(PING)
