"""Options are checked before anything is started, and each mistake is one line."""

from __future__ import annotations

import pytest

from harness.history import Promises
from harness.run.options import OptionError, Options, period_s, promised


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("60s", 60), ("1.5m", 90), ("2h", 7200)])
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert period_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "0s", "1d", "1 m 3 s"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(OptionError, match=r"^--budget .*60s"):
        period_s(text)


def test_promises_can_be_changed() -> None:
    made = promised(Promises(), ("collection=online", "resume=no", "grace_s=5s", "spec=1.0"))
    assert (made.collection, made.resume, made.grace_s, made.spec) == ("online", False, 5.0, "1.0")


@pytest.mark.parametrize("change", ["x=yes", "resume=perhaps", "collection=often", "spec=3", "grace_s=long"])
def test_what_cannot_be_promised(change: str) -> None:
    with pytest.raises(OptionError, match=r"^[^\n]*$"):
        promised(Promises(), (change,))


@pytest.mark.parametrize(
    "options",
    [
        Options(target="http://x", target_file="reference"),
        Options(profile="fast"),
        Options(spec="9"),
        Options(namespace="Upper"),
        Options(namespace="a//b"),
        Options(tiers=frozenset({"magic"})),
    ],
)
def test_what_cannot_be_run(options: Options) -> None:
    with pytest.raises(OptionError):
        options.check()
