"""Images made from programs of this machine: no registry can be pulled from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import programs
from .engine import Engine
from .layouts import archive

REGISTRY_IMAGE = "seatrial.test/docker-registry:local"
FILE = f"""
seatrial = 1
title = "Debian's docker-registry in a container"
[container]
image = "{REGISTRY_IMAGE}"
port = 5000
command = ["/bin/docker-registry", "serve", "{{config}}"]
volume = "/var/lib/registry"
[files]
"config.yml" = '''
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {{storage}}}}
  delete: {{enabled: true}}
http: {{addr: "{{host}}:{{port}}", secret: seatrial}}
'''
[collect]
command = ["/bin/docker-registry", "garbage-collect", "{{config}}"]
untagged = ["/bin/docker-registry", "garbage-collect", "-m", "{{config}}"]
removed.blob = '^blob eligible for deletion: \\S+$'
[promises]
durable = true
sessions_survive_restart = true
collection = "offline"
spec = "1.0"
untagged_collected = true
"""
"""A target file for it."""


def program_image(engine: Engine, tag: str, program: str) -> None:
    """An image of nothing but a program, as ``/bin/NAME``, and the libraries that it needs."""
    found = shutil.which(program)
    assert found is not None, f"{program} is not installed"
    libraries = re.findall(r"(/\S+) \(0x", programs.run("ldd", found).decode())
    files = {f"bin/{program}": Path(found).read_bytes()}
    files |= {name.lstrip("/"): Path(name).read_bytes() for name in libraries}
    engine.docker("import", "-", tag, stdin=archive(files))
