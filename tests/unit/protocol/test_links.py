"""Links to the next page, in the forms that RFC 8288 allows."""

from __future__ import annotations

import pytest

from harness.checkers.protocol.answer import next_links
from harness.run.caller import next_page


@pytest.mark.parametrize(
    ("header", "targets"),
    [
        ('</v2/r/tags/list?n=1&last=a>; rel="next"', ["/v2/r/tags/list?n=1&last=a"]),
        ("</list?last=a,b>;rel=next", ["/list?last=a,b"]),
        ('</list>; title="page 2, of more; rel=up"; REL=Next', ["/list"]),
        ('</1>; rel="first", </2>; rel="prev next"', ["/2"]),
        ('</1>; rel="first"', []),
        ('</1>; rel="first"; rel="next"', []),  # only the first one counts (section 3.3)
        ('</1>; title="next"', []),
        ('</1>; rel="next', []),
        ('/1; rel="next"', []),
        ("", []),
    ],
)
def test_where_it_leads(header: str, targets: list[str]) -> None:
    assert next_links([header]) == targets


def test_a_client_follows_it_from_where_it_is() -> None:
    links = ['<first>; rel="first"', '<list?last=b>; title="a, b"; rel=next']
    assert next_page(links, "http://h:5000/v2/r/tags/list?n=1") == "http://h:5000/v2/r/tags/list?last=b"
    assert next_page(['<http://other/x>; rel="next"'], "http://h/v2/") == "http://other/x"
    assert next_page(links[:1], "http://h/v2/") is None
