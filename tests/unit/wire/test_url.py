"""URLs: what is taken, and what is said to those that are not."""

from __future__ import annotations

import pytest

from harness.wire import BadUrl, parse_base, parse_url
from harness.wire.url import Url, follow, resolve


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:5000", Url("http", "127.0.0.1", 5000, "/", "127.0.0.1:5000")),
        ("https://Reg.Example/", Url("https", "reg.example", 443, "/", "reg.example")),
        ("HTTP://x:80", Url("http", "x", 80, "/", "x")),
        ("https://x:80", Url("https", "x", 80, "/", "x:80")),
        ("http://[::1]:5000", Url("http", "::1", 5000, "/", "[::1]:5000")),
        ("https://[fe80::1]", Url("https", "fe80::1", 443, "/", "[fe80::1]")),
        ("http://my_host.local:1", Url("http", "my_host.local", 1, "/", "my_host.local:1")),
    ],
)
def test_bases(text: str, url: Url) -> None:
    assert parse_base(text) == url


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("127.0.0.1:5000", "write http://127.0.0.1:5000"),
        ("reg.example", "https://reg.example"),
        ("ftp://x", "begin with http://"),
        ("http:/x", "no scheme"),
        ("http://", "no usable host"),
        ("http://:5000", "no usable host"),
        ("http://me:secret@x:1", "user name"),
        ("http://x:99999", "out of range"),
        ("http://x:port", "port"),
        ("http://x:0", "port 0"),
        ("http://[::1", "cannot be read"),
        ("http://x/v2/", "write http://x, /v2/ is added"),
        ("http://x?a", "has a path"),
        ("http://a b", "space"),
        ("http://x\r\n", "control"),
        ("http://bücher", "ASCII"),
        ("http://a,b", "no usable host"),
    ],
)
def test_what_is_no_base_is_told_in_one_line_that_teaches(text: str, hint: str) -> None:
    with pytest.raises(BadUrl) as caught:
        parse_base(text)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_targets_are_resolved_on_the_base() -> None:
    base = parse_base("http://[::1]:5000")
    assert str(resolve(base, "/v2/?a=b")) == "http://[::1]:5000/v2/?a=b"
    assert resolve(base, "https://y/z").origin == ("https", "y", 443)
    for target in ("v2/", "//y/z", ""):
        with pytest.raises(BadUrl):
            resolve(base, target)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b", "http://x:1/b"),
        ("b?c", "http://x:1/v2/b?c"),
        ("../b", "http://x:1/b"),
        ("//y/b", "http://y/b"),
        ("https://y:2/b#f", "https://y:2/b"),
        ("?c", "http://x:1/v2/a?c"),
        ("", "http://x:1/v2/a?q"),
    ],
)
def test_locations_are_resolved_on_where_they_came_from(location: str, target: str) -> None:
    assert str(follow(parse_url("http://x:1/v2/a?q"), location)) == target
