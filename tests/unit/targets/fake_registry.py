"""A registry that does next to nothing, for tests of what starts and ends registries.

``PORT [--ignore-term] [--die TEXT] [--mute]``: answers 200 to everything, with its process id.
"""

from __future__ import annotations

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> int:
    options = sys.argv[2:]
    print("hello from the fake registry", os.environ.get("GREETING", ""), flush=True)
    if "--die" in options:
        print(options[options.index("--die") + 1], file=sys.stderr, flush=True)
        return 3
    if "--ignore-term" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--mute" in options:
        signal.pause()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
