"""The system-call gate: counts, kills at, fails, holds or slows the changes that an unmodified native program
makes to a folder (seccomp user notification; Linux on x86-64 and aarch64; no root needed).

A call costs some 50 µs more, and only calls that may change files, or that write to anything, come to it.
"""

from harness.faults.syscall.available import available
from harness.faults.syscall.gate import Gate
from harness.faults.syscall.rules import ACTS, ANY, Armed, Point, Rule
from harness.faults.syscall.tables import ERRNOS, GROUPS

__all__ = ["ACTS", "ANY", "ERRNOS", "GROUPS", "Armed", "Gate", "Point", "Rule", "available"]
