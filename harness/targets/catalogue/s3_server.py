"""An S3 server in memory (moto's), with one bucket: ``PORT BUCKET``. Needs ``moto[s3,server]``."""

from __future__ import annotations

import logging
import sys
import threading
import urllib.request

from moto.server import ThreadedMotoServer

HOST = "127.0.0.1"


def main() -> int:
    port, bucket = int(sys.argv[1]), sys.argv[2]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=HOST, port=port, verbose=False)
    server.start()
    request = urllib.request.Request(f"http://{HOST}:{port}/{bucket}", method="PUT")
    urllib.request.urlopen(request, timeout=20).close()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
