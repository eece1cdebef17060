from __future__ import annotations
from functools import cache
from harness.machines.base import Family, PlanMachine
from harness.machines.blobs import BlobRules
FAMILIES = {"P1": Family("P1","t",{"push":1,"mount":1,"blob-reads":1,"ranges":1,"wrong-digest":.5,"again-elsewhere":1, "foreign-reads":.5})}
@cache
def _m(name): return type("M",(BlobRules,),{})
def machine_for(f): return _m(f.property)
