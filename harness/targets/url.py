"""A registry at a URL: a black box, and as many controls as shell commands give."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.history import Promises
from harness.targets import lockstep
from harness.targets.base import Collected, LineGate, TargetError
from harness.targets.host import LOOPBACK, WorkFolder
from harness.targets.process import POLL_S, kill_quietly
from harness.targets.reaper import REAPER
from harness.targets.seams import Tap
from harness.wire import Answer, BadTls, BadUrl, Client, Credentials, Limits, Request, Tls, parse_base

COMMAND_LIMIT_S = 60.0
START_LIMIT_S = 60.0
KILL_LIMIT_S = 10.0
COLLECT_LIMIT_S = 600.0
_OPEN_LIMITS = Limits(connect_s=5.0, answer_s=10.0, exchange_s=10.0)
_POLL_LIMITS = Limits(connect_s=1.0, answer_s=2.0, exchange_s=2.0)

_NO_ANSWER: dict[str, str] = {
    "dns": "there is no host of that name; is the name spelt right?",
    "refused": "nothing listens there; is the registry running, and is the port right?",
    "unreachable": "the host cannot be reached",
    "connect-timeout": "the host does not answer; is there a firewall between?",
    "timeout": "something listens there but does not answer",
    "reset": "it resets the connection; does it want https?",
    "closed": "it closes the connection without an answer; does it want https?",
    "garbage": "it does not speak HTTP; is the port right, or does it want https?",
    "tls": "TLS fails; give --ca FILE or --insecure, or is it plain http?",
}


def tappable(url: str) -> int | None:
    """The port behind which a `Tap` can stand: of a registry on the loopback interface, without TLS."""
    try:
        base = parse_base(url.rstrip("/"))
    except BadUrl:
        return None
    return base.port if base.scheme == "http" and base.host in (LOOPBACK, "localhost") else None


class UrlTarget:
    """Implements `harness.targets.base.Target` for a registry that runs already; never owned.

    ``kill_command`` and ``restart_command`` give the controls of their names (killing needs both: what is
    killed must come back), ``gc_command`` gives ``collect``. They are run by ``/bin/sh`` and must end with
    status 0; SEATRIAL_URL is set for them, and SEATRIAL_UNTAGGED=1 for a collection that also has to
    remove untagged manifests. Raises `TargetError` when the URL itself cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        tls: Tls | None = None,
        promises: Promises | None = None,
        kill_command: str | None = None,
        restart_command: str | None = None,
        gc_command: str | None = None,
        tap: Tap | None = None,
    ) -> None:
        try:
            self._url = str(parse_base(url.rstrip("/"))).rstrip("/")
            Client(self._url, tls=tls).close()
        except (BadUrl, BadTls) as error:
            raise TargetError(str(error)) from None
        self._credentials, self._tls, self._tap = credentials, tls, tap
        self._commands = {
            name: command
            for name, command in (
                ("kill", kill_command),
                ("restart", restart_command),
                ("collect", gc_command),
            )
            if command
        }
        self._promises = promises or Promises()
        if "collect" not in self._commands:
            self._promises = replace(self._promises, collection="none")
        elif self._promises.collection == "none":
            self._promises = replace(self._promises, collection="offline")
        self._folder: WorkFolder | None = None
        self._said: list[str] = []

    @property
    def name(self) -> str:
        return self._url

    @property
    def url(self) -> str:
        if self._tap is None or (port := tappable(self._url)) is None:
            return self._url
        return f"http://{LOOPBACK}:{self._tap.client(port)}"

    @property
    def promises(self) -> Promises:
        return self._promises

    @property
    def controls(self) -> frozenset[str]:
        found = set(self._commands)
        if "restart" not in found:
            found.discard("kill")
        return frozenset(found | {"hold"} if "collect" in found else found)

    @property
    def owned(self) -> bool:
        return False

    def open(self) -> None:
        """See that it is a registry that lets us in: GET /v2/ answers 200, or 401 where no credentials are
        given (end-1 of the specification)."""
        answer = self._ping(_OPEN_LIMITS)
        if (why := unusable(answer, self._credentials)) is not None:
            raise TargetError(f"{self._url}: {why}")

    def close(self) -> None:
        if self._tap is not None:
            self._tap.close()
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def fresh(self) -> None:
        """Nothing: what is in it belongs to somebody else."""

    def running(self) -> bool:
        """Whether anything answers."""
        return self._ping(_POLL_LIMITS).status is not None

    def kill(self) -> None:
        self._run("kill")
        self._wait(False)

    def restart(self) -> None:
        self._run("restart")
        self._wait(True)

    def start(self) -> None:
        if not self._answers():
            self.restart()

    def pause(self) -> None:
        raise TargetError(f"{self._url}: cannot be paused: the harness did not start it")

    def resume(self) -> None:
        """Nothing: it cannot have been paused."""

    def collect(self, *, untagged: bool, gate: LineGate | None = None) -> Collected:
        command = self._command("collect")
        with tempfile.TemporaryFile(dir=self._work) as stderr:
            printed = lockstep.run(
                ["/bin/sh", "-c", command],
                env=self._environment({"SEATRIAL_UNTAGGED": "1"} if untagged else {}),
                cwd=Path.cwd(),
                stderr=stderr,
                limit_s=COLLECT_LIMIT_S,
                gate=gate,
            )
        lines = printed.out + printed.err
        if printed.timed_out:
            lines += (f"killed after {COLLECT_LIMIT_S:g} s",)
        return Collected(printed.code, lines, None)

    def log(self) -> str:
        """What the commands printed: the registry's own log is out of reach."""
        return "\n".join(self._said[-40:])

    # --- inside

    @property
    def _work(self) -> Path:
        if self._folder is None:
            self._folder = WorkFolder()
        return self._folder.path

    def _command(self, control: str) -> str:
        option = {"kill": "--kill-cmd", "restart": "--restart-cmd", "collect": "--gc-cmd"}[control]
        if control not in self.controls:
            more = " and --restart-cmd" if control == "kill" else ""
            raise TargetError(f"{self._url}: no control {control!r}; give {option}{more}")
        return self._commands[control]

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return dict(os.environ) | {"SEATRIAL_URL": self._url} | dict(more)

    def _run(self, control: str) -> None:
        """Run a command to its end. Its output goes to a file, not a pipe: what it leaves running in the
        background would keep that open."""
        command = self._command(control)
        with tempfile.TemporaryFile(dir=self._work) as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment({}),
                start_new_session=True,
            )
            REAPER.watch_process(process.pid)
            try:
                code: int | None = process.wait(COMMAND_LIMIT_S)
            except subprocess.TimeoutExpired:
                code = None
                kill_quietly(process)
            finally:
                REAPER.forget_process(process.pid)
            output.seek(0)
            said = output.read().decode(errors="replace").splitlines()
        self._said += [f"$ {command}", *said]
        if code != 0:
            ending = f"ended with status {code}" if code is not None else f"took over {COMMAND_LIMIT_S:g} s"
            last = f": {said[-1]}" if said else ""
            raise TargetError(f"{self._url}: the {control} command {command!r} {ending}{last}")

    def _ping(self, limits: Limits) -> Answer:
        client = Client(self._url, credentials=self._credentials, tls=self._tls, limits=limits)
        try:
            return client.send(Request("GET", "/v2/"))
        finally:
            client.close()

    def _answers(self) -> bool:
        status = self._ping(_POLL_LIMITS).status
        return status is not None and status < 500

    def _wait(self, up: bool) -> None:
        limit_s = START_LIMIT_S if up else KILL_LIMIT_S
        limit = time.monotonic() + limit_s
        while self._answers() != up:
            if time.monotonic() > limit:
                what = "does not answer" if up else "still answers"
                command = self._commands["restart" if up else "kill"]
                raise TargetError(f"{self._url}: {what} {limit_s:g} s after {command!r}")
            time.sleep(POLL_S)


def unusable(answer: Answer, credentials: Credentials | None) -> str | None:
    """Why what answered GET /v2/ is no registry that can be tried; ``None`` when it is one."""
    if answer.status is None:
        hint = _NO_ANSWER.get(answer.error or "", "no usable answer")
        return f"{hint} ({answer.detail})" if answer.detail else hint
    if answer.status == 401:
        if credentials is None:
            return None
        if answer.challenges:
            return f"refuses the credentials of {credentials.username!r}: wrong user name or password"
        said = answer.header("WWW-Authenticate") or "no WWW-Authenticate at all"
        return f"wants authentication in a way that is not known here ({said}{_detail(answer)})"
    if answer.status == 403:
        return f"lets nobody in: GET /v2/ answers 403{_said_by(answer)}"
    page = (answer.header("Content-Type") or "").startswith("text/html")
    if answer.status == 200 and not (page and answer.header("Docker-Distribution-API-Version") is None):
        return None
    looks = " with a web page" if page else ""
    return f"is not a registry: GET /v2/ answers {answer.status}{looks}{_said_by(answer)}"


def _said_by(answer: Answer) -> str:
    server = answer.header("Server")
    words = [f"server: {server}"] if server else []
    try:
        errors = json.loads(answer.text or b"")["errors"]
        words += [str(error.get("code")) for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return f" ({', '.join(words)})" if words else ""


def _detail(answer: Answer) -> str:
    return f"; {answer.detail}" if answer.detail else ""
