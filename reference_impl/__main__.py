"""``python -m reference_impl serve|collect``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    command = {"serve": _serve, "collect": _collect}[options.command]
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reference_impl", description="A reference OCI registry.")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="serve a registry over HTTP")
    serve.add_argument("--root", metavar="DIR", help="where to store (filesystem)")
    serve.add_argument("--driver", choices=["filesystem", "memory"], default="filesystem")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_port, default=5000, help="0: any free one")
    serve.add_argument("--page-size", type=_positive, default=1000, help="entries per listing page")
    serve.add_argument(
        "--idle-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="give up on a request body that stops coming",
    )
    serve.add_argument(
        "--unsafe-no-fsync",
        action="store_true",
        help="do not sync: a power cut may lose what was acknowledged",
    )

    collect = commands.add_parser("collect", help="remove content that nothing refers to")
    collect.add_argument("--root", metavar="DIR", required=True)
    collect.add_argument(
        "--delete-untagged",
        action="store_true",
        help="also delete manifests that no tag, index or subject leads to",
    )
    collect.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    collect.add_argument(
        "--grace",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="keep what was pushed, mounted or looked for this recently",
    )
    collect.add_argument(
        "--session-age",
        type=float,
        default=7 * 86400.0,
        metavar="SECONDS",
        help="forget uploads that got nothing for this long",
    )
    collect.add_argument("--json", action="store_true", help="end with a summary as JSON")
    collect.add_argument("--unsafe-no-fsync", action="store_true", help="as of serve")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("not a port")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _serve(options: argparse.Namespace) -> int:
    from .drivers.base import Driver
    from .drivers.memory import MemoryDriver
    from .registry.layout import SCRATCH
    from .registry.store import Registry, filesystem_driver

    driver: Driver
    if options.driver == "memory":
        driver = MemoryDriver()
    elif options.root is None:
        return _fail("serve: --root is needed with --driver filesystem")
    else:
        driver = filesystem_driver(options.root, fsync=not options.unsafe_no_fsync)
        try:
            driver.write(f"{SCRATCH}/probe", b"")
            driver.delete(f"{SCRATCH}/probe")
        except OSError as error:
            return _fail(f"cannot write to {options.root}: {error.strerror}")

    from .api.app import build
    from .api.resource import Limits
    from .serve import listen, serve

    try:
        sock = listen(options.host, options.port)
    except OSError as error:
        return _fail(f"cannot listen on {options.host}:{options.port}: {error.strerror}")
    limits = Limits(page_size=options.page_size, body_idle_timeout_s=options.idle_timeout)
    serve(build(Registry(driver), limits=limits), sock)
    return 0


def _collect(options: argparse.Namespace) -> int:
    from .collect.run import Policy, collect_from_command_line
    from .registry.store import filesystem_driver

    driver = filesystem_driver(options.root, fsync=not options.unsafe_no_fsync)
    policy = Policy(
        delete_untagged=options.delete_untagged,
        dry_run=options.dry_run,
        grace_s=options.grace,
        session_age_s=options.session_age,
    )
    return collect_from_command_line(driver, policy, as_json=options.json)


def _fail(message: str) -> int:
    print(f"reference_impl: {message}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
