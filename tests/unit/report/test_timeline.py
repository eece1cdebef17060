"""The HTML timeline."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from harness.history import FOREVER_NS, Control
from harness.report.timeline import timeline
from tests.unit.report.samples import LOST, RACE, race_history

VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """Tags that are open, ids, and addresses of anything else."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.classes: dict[str, str] = {}
        self.elsewhere: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if id_ := found.get("id"):
            self.ids.append(id_)
            self.classes[id_] = found.get("class") or ""
        if tag in ("script", "link", "img", "iframe", "object") or "src" in found:
            self.elsewhere.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_exchange_is_a_box_and_the_proof_is_marked() -> None:
    page = Page(timeline(race_history(), findings=[LOST]))
    assert page.open == []
    assert [id_ for id_ in page.ids if id_.startswith("e")] == [f"e{i}" for i in range(7)]
    assert [id_ for id_, classes in page.classes.items() if "proof" in classes] == ["e3", "e5"]
    assert "fail" in page.classes["e5"]
    assert "ok" in page.classes["e3"]


def test_every_operation_is_named() -> None:
    text = timeline(race_history(), findings=[LOST])
    for op in RACE:
        assert op.id in text
    for lane in ("client 1", "operator"):
        assert lane in text
    assert LOST.title in text


def test_nothing_comes_from_elsewhere() -> None:
    text = timeline(race_history(), findings=[LOST])
    assert Page(text).elsewhere == []
    assert "url(" not in text
    assert "@import" not in text


def test_a_long_history_is_cut_and_says_so_and_keeps_the_proof() -> None:
    history = race_history()
    text = timeline(history, findings=[LOST], cap=3)
    assert "shows 3 of 7 exchanges" in text
    assert {"e3", "e5"} <= set(Page(text).ids)
    assert "of 7 exchanges:" not in timeline(history, cap=7)


def test_what_registries_say_is_text_not_markup() -> None:
    history = race_history()
    evil = replace(history.exchanges[0], headers=(("Location", "<script>alert(1)</script>"),))
    text = timeline(replace(history, exchanges=(evil, *history.exchanges[1:]), target="<b>&"))
    assert "<script" not in text
    assert "&lt;b&gt;&amp;" in text


def test_faults_and_what_never_ended_are_drawn() -> None:
    history = race_history()
    never = replace(history.exchanges[-1], completed_ns=FOREVER_NS, status=None)
    killed = Control("fault.missed", 5, "push", 1, {"fault": "cut", "why": "byte 9 was never reached"})
    changed = replace(
        history, exchanges=(*history.exchanges[:-1], never), controls=(*history.controls, killed)
    )
    text = timeline(changed)
    assert "open" in Page(text).classes["e6"]
    assert "cut of push did not happen: byte 9 was never reached" in text
    assert re.search(r'class="fault"', text)
