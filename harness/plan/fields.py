"""The keys of a scenario file and what may stand behind them: the tables of the codec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from harness.plan.operation import CALLS

TOP = {
    "seatrial": "int",
    "title": "str",
    "about": "str",
    "needs": "strs",
    "expect": "table",
    "rate": "str",
    "seed": "int",
    "closing": "read|restart",
    "ops": "table",
    "blobs": "table",
    "manifests": "table",
}
EXPECT = {"property": "str", "witness": "strs", "check": "str", "clause": "str"}
OPERATION = {"lane": "lane", "do": "str", "hold": "table", "cut": "table", "strike": "table", "after": "strs"}
_AT = {"at": "count", "on": "str", "part": "head|body|answer", "nth": "nth"}
_CALL = {"call": "|".join(CALLS), "path": "str", "nth": "nth"}
HOLD = {"line": "str", **_AT, **_CALL, "until": "str"}
STRIKE = {**_CALL, "act": "kill|power|enospc|eio|emfile", "rest": "bool"}
CUT = {**_AT, "how": "close|reset|half"}
BLOB = {"size": "count", "alg": "sha256|sha512", "of": "str", "as_blob": "str"}
MANIFEST = {
    "kind": "image|index|artifact",
    "config": "str",
    "layers": "strs",
    "children": "strs",
    "subject": "str",
    "type": "str",
    "annotations": "count",
    "pad": "count",
    "alg": "sha256|sha512",
    "docker": "bool",
}
FIELD = {"size": "size_bytes", "as_blob": "of", "pad": "pad_bytes"}
"""Keys that are not called as the field that they set."""

INLINE: Mapping[str, Mapping[str, str]] = {"blob.push": BLOB, "manifest.put": MANIFEST}
_LANES = ("collector", "operator")
_WORDS = {
    "int": "a whole number",
    "count": "a whole number, 0 or more",
    "nth": "a whole number, 1 or more",
    "bool": "true or false",
    "strs": 'a list of strings, ["…"]',
    "ints": "a list of whole numbers",
    "table": "a table, { … }",
    "lane": 'a client\'s number, "collector" or "operator"',
}


def fits(type_: str, value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    match type_:
        case "int":
            return whole
        case "count":
            return whole and value >= 0  # type: ignore[operator]
        case "nth":
            return whole and value >= 1  # type: ignore[operator]
        case "bool":
            return isinstance(value, bool)
        case "strs" | "blobs" | "manifests":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "ints":
            return isinstance(value, list) and all(fits("int", item) for item in value)
        case "table":
            return isinstance(value, dict)
        case "lane":
            return value in _LANES if isinstance(value, str) else fits("nth", value)
    return value in type_.split("|") if "|" in type_ else isinstance(value, str)


def expected(type_: str) -> str:
    if "|" in type_:
        return "one of " + ", ".join(f'"{word}"' for word in type_.split("|"))
    return _WORDS.get(type_, "a string")


def nearest(word: str, words: Iterable[str]) -> str:
    """``did you mean "x"?``, or which words there are, where none is near."""
    known = list(words)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"there is: {', '.join(known)}" if known else "there is none"
