"""Embedding tables as files: what a list of tables says, and writing each with constant memory."""

from gpuinit.tables.check import check
from gpuinit.tables.compare import Checked, Difference
from gpuinit.tables.formats import FORMATS, Format
from gpuinit.tables.journal import JournalError
from gpuinit.tables.plan import Job, plan_tables, plan_tensor
from gpuinit.tables.spec import SpecError, TableSpec, read_specs
from gpuinit.tables.writer import DiskSpaceError, Written, write

__all__ = [
    "FORMATS",
    "Checked",
    "Difference",
    "DiskSpaceError",
    "Format",
    "Job",
    "JournalError",
    "SpecError",
    "TableSpec",
    "Written",
    "check",
    "plan_tables",
    "plan_tensor",
    "read_specs",
    "write",
]
