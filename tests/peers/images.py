"""Images made from programs of this machine: no registry can be pulled from."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

import reference_impl

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
    files = {f"bin/{program}": Path(found).read_bytes()}
    files |= {name.lstrip("/"): Path(name).read_bytes() for name in _libraries([found])}
    engine.docker("import", "-", tag, stdin=archive(files))


REFERENCE_IMAGE = "seatrial.test/reference:local"
_PYTHON = Path(sys.executable).resolve()
REFERENCE_FILE = f"""
seatrial = 1
title = "the reference in a container"
[container]
image = "{REFERENCE_IMAGE}"
port = 5000
command = [
    "{_PYTHON}", "-m", "reference_impl",
    "serve", "--root", "{{storage}}", "--host", "{{host}}", "--port", "{{port}}", "--stop-grace", "1",
]
volume = "/var/lib/registry"
env = {{ PYTHONPATH = "/app" }}
limit_s = 60
[collect]
command = ["{_PYTHON}", "-m", "reference_impl", "collect", "--root", "{{storage}}"]
untagged = ["{_PYTHON}", "-m", "reference_impl", "collect", "--root", "{{storage}}", "--delete-untagged"]
removed.blob = '^blob eligible for deletion: \\S+$'
[promises]
durable = true
resume = true
sessions_survive_restart = true
collection = "online"
spec = "dev"
untagged_collected = true
"""
"""A target file for it."""

_NEEDS = ("bcrypt", "boto3", "click", "cryptography", "httptools", "prometheus-client", "pydantic")
_NEEDS_TOO = ("pydantic-settings", "pyjwt", "starlette", "uvicorn")
_LEFT_OUT = frozenset(
    {"__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "data"}
)


def reference_image(engine: Engine, tag: str) -> None:
    """An image of this interpreter with its library, the reference and the packages that it needs."""
    standard = Path(sysconfig.get_path("stdlib"))
    places = {_PYTHON: str(_PYTHON), standard: str(standard)}
    places[Path(reference_impl.__file__).parent] = "/app/reference_impl"
    for name in _packages({*_NEEDS, *_NEEDS_TOO}):
        for file in importlib.metadata.files(name) or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__"):
                places[Path(str(file.locate())).parents[len(file.parts) - 1] / top] = f"/app/{top}"
    packed = engine.folder / "reference.tar"
    with tarfile.open(packed, "w") as tar:
        for source, place in places.items():
            tar.add(source, place, filter=_wanted)
        objects = [str(path) for source in places for path in source.rglob("*.so")]
        for library in _libraries([str(_PYTHON), *objects]):
            tar.add(Path(library).resolve(), library)
    engine.docker("import", str(packed), tag)
    packed.unlink()


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _LEFT_OUT & set(Path(entry.name).parts) else entry


def _packages(names: set[str]) -> set[str]:
    """The packages, and all that they need here."""
    found: set[str] = set()
    while names - found:
        name = (names - found).pop()
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            needed = re.match(r"[\w.-]+", text)
            if needed and "extra ==" not in text and _installed(needed[0]):
                names.add(needed[0])
    return found


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _libraries(objects: list[str]) -> list[str]:
    return sorted(set(re.findall(r"(/\S+) \(0x", programs.run("ldd", *objects).decode())))
