"""``python -m tests.quality.hostile_input``: as the test does, and failures made small."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from . import run, served, surroundings


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.quality.hostile_input", description=run.__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send this case alone")
    parser.add_argument("--driver", choices=("filesystem", "memory"), default="filesystem")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder) / "around"
        parent.mkdir()
        root = surroundings.make(parent)
        before = surroundings.seen(parent, root)
        arguments = ["--driver", options.driver, "--root", str(root), "--unsafe-no-fsync"]
        server = served.Served(arguments, Path(folder) / "log")
        try:
            outcome = run.send(
                server.port,
                options.seed,
                range(options.cases) if options.only is None else [options.only],
                between=lambda sent: print(sent, server.usage(), flush=True),
            )
            print(f"{outcome.sent} cases, {outcome.requests} requests")
            print("shapes  ", dict(outcome.shapes.most_common()))
            print("statuses", dict(sorted(outcome.statuses.items())))
            for failure in outcome.failures:
                print("\n".join(failure.flaws), run.explained(server.port, failure), sep="\n", flush=True)
        finally:
            server.stop()
        untouched = surroundings.seen(parent, root) == before and not surroundings.foreign(root)
        print("nothing outside the root was touched" if untouched else "SOMETHING OUTSIDE WAS TOUCHED")
    return 0 if untouched and not outcome.failures else 1


if __name__ == "__main__":
    sys.exit(main())
