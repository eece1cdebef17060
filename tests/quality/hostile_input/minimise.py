"""Failing cases made small, to be read and sent again by hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from .framing import Case, End

TRIES_MAX = 80
_CURL_MAX_BYTES = 4000
_END = b"\r\n\r\n"


def minimise(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Return the least that still fails, as far as leaving out lines and halves leads there."""
    tries = 0
    smaller = True
    while smaller and tries < TRIES_MAX:
        smaller = False
        for candidate in _smaller(data):
            tries += 1
            if fails(candidate):
                data, smaller = candidate, True
                break
            if tries >= TRIES_MAX:
                break
    return data


def _smaller(data: bytes) -> Iterator[bytes]:
    head, end, body = data.partition(_END)
    if not end:
        yield from (data[: len(data) // 2], data[:-1])
        return
    first, *lines = head.split(b"\r\n")
    for size in (len(body) // 2, len(body) - 1):
        if 0 <= size < len(body):
            yield _resized(first, lines, body[:size])
    for number in range(len(lines)):
        yield b"\r\n".join([first, *lines[:number], *lines[number + 1 :]]) + _END + body
    path, question, rest = first.partition(b"?")
    if question:
        yield b"\r\n".join([path + b" " + rest.rpartition(b" ")[2], *lines]) + _END + body


def _resized(first: bytes, lines: list[bytes], body: bytes) -> bytes:
    sized = [
        b"Content-Length: %d" % len(body) if line.lower().startswith(b"content-length:") else line
        for line in lines
    ]
    return b"\r\n".join([first, *sized]) + _END + body


def shown(case: Case, data: bytes) -> str:
    """The bytes as Python writes them; and as a command, if curl can send them."""
    lines = [f"{case.shape} {case.seed}, {case.end.value}:", f"    {data!r}"]
    is_one = case.plain and case.end is End.STAYS and len(case.methods) == 1
    if is_one and len(data) < _CURL_MAX_BYTES:
        lines.append(f"    {_curl(data)}")
    return "\n".join(lines)


def _curl(data: bytes) -> str:
    head, _, body = data.partition(_END)
    first, *headers = head.decode("latin-1").split("\r\n")
    method, target, _ = (*first.split(" "), "", "")[:3]
    words = ["curl", "-i", "--path-as-is", "-X", method, f"http://127.0.0.1:5000{target}"]
    for header in headers:
        if not header.lower().startswith(("host:", "content-length:", "transfer-encoding:")):
            words += ["-H", header]
    if body:
        words += ["--data-binary", "@-"]
    command = " ".join(map(shlex.quote, words))
    octal = "".join(f"\\{byte:03o}" for byte in body)
    return f"printf '{octal}' | {command}" if body else command
