"""Whether the gate works here: tried once, on a child that makes and renames a file."""

from __future__ import annotations

import errno
import functools
import os
import platform
import re
import sys
import tempfile
from pathlib import Path

from harness.faults.syscall.gate import Gate
from harness.faults.syscall.tables import machine
from harness.targets.base import TargetError
from harness.targets.process import kill

LIMIT_S = 20.0
_KERNEL = (5, 9)
"""Since then the kernel tells when the last gated thread has ended (since 5.5 it lets a call go on)."""
_CHILD = "import os, sys; os.close(os.open('a', os.O_WRONLY | os.O_CREAT)); os.rename('a', 'b')"
_WHY: dict[int, str] = {
    errno.EBUSY: "this process is under another supervisor's filter already; run it outside of that",
    errno.EINVAL: "the kernel has no seccomp user notification (CONFIG_SECCOMP_FILTER)",
    errno.ENOSYS: "the kernel has no seccomp, or a container forbids it: --security-opt seccomp",
    errno.EPERM: "seccomp is forbidden here; in a container, see --security-opt seccomp",
    errno.EACCES: "seccomp is forbidden here; in a container, see --security-opt seccomp",
}


@functools.cache
def available() -> str | None:
    """``None`` where processes can be put under the gate, else why not and what would allow it, in a line.
    The first call starts a child (some 50 ms)."""
    if sys.platform != "linux":
        return f"the system-call gate needs Linux, this is {sys.platform}"
    if machine() is None:
        return f"the system-call gate knows x86-64 and aarch64, this is {platform.machine()}"
    release = platform.release()
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < _KERNEL:
        return f"the system-call gate needs Linux {'.'.join(map(str, _KERNEL))} or later, this is {release}"
    with tempfile.TemporaryDirectory(prefix="seatrial-") as folder:
        why = _try(Path(folder))
    return f"no system-call gate: {why}" if why else None


def _try(folder: Path) -> str | None:
    gate = Gate(folder)
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        child = gate.spawn([sys.executable, "-I", "-S", "-c", _CHILD], {}, folder, nowhere, nowhere)
        code = child.wait(LIMIT_S)
        if code is None:
            kill(child)
    except OSError as error:
        known = _WHY.get(error.errno) if error.errno else None
        return f"{known} ({error.strerror})" if known else str(error)
    except TargetError as error:
        return str(error)
    finally:
        os.close(nowhere)
        gate.close()
    if gate.trouble is not None:
        return f"{gate.trouble}; see /proc/sys/kernel/yama/ptrace_scope"
    if code is None:
        return f"a child did not end in {LIMIT_S:.0f} s"
    seen = [point.group for point in gate.points()]
    if code != 0 or seen != ["create", "rename"]:
        return f"a child ended with {code}, and was seen to do: {', '.join(seen) or 'nothing'}"
    return None
