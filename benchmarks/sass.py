"""How many instructions does a GPU issue for 16 bytes of a dense fill? The hot loops' SASS, counted: no GPU is needed.

    python -m benchmarks.sass  # writes benchmarks/results/sass.json and sass.md

Each kernel is compiled by NVRTC as in production and disassembled by nvdisasm (the package nvidia-cuda-nvdisasm). How it is
counted:

- Loop: the instructions that can be reached from the 16-byte stores and lead back to them, wherever they stand: a cold block
  behind the loop that jumps back belongs to it. A call of a `.L_` label is a jump (sm_80 leaves loops that way), other calls
  return; BRA.DIV is for warps that diverged, none here. An instruction counts one, whatever its own predicate; a vector is one
  16-byte store.
- Cold blocks: what a branch skips, up to where its two ways meet again, if it stores single elements. With probability t of
  a deep word and n such stores in it, some lane of a warp goes there with probability 1 - (1 - t)^(32 n). An instruction
  counts with the probability of the innermost block it is in, once. A way that stores no element but calls a subroutine is
  the slow path of a division or a root, which ordinary numbers never take: 0. Any other way counts as if always taken.
- t: the probability that the depth -log(4 p (1 - p)) exceeds 6.25 under the law; 0 where the law ends before that.

An instruction is not a cycle; a conversion takes more issue slots than a sum. The complex types run the kernels of their parts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import shutil
import subprocess
import tempfile
from graphlib import CycleError, TopologicalSorter
from importlib import metadata
from statistics import NormalDist
from typing import Any, NamedTuple

from benchmarks.pairs import RESULTS, machine
from gpuinit import dtypes
from gpuinit.backends.cuda import dense
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.kernels import cuda_build, cuda_source
from gpuinit.kernels.quantiles import CENTRAL_DEPTH

ARCHITECTURES = (80, 90, 100, 120)
WARP, END = 32, -1

LAWS: dict[str, Distribution] = {
    "uniform": Uniform(0.3, 0.6),
    "uniform on +-a": Uniform(-0.05, 0.05),
    "truncated +-2": TruncatedNormal(0.0, 0.05),
    "truncated +-2 about 1": TruncatedNormal(1.0, 0.05),
    "normal": Normal(0.0, 1.0),
    "truncated at -1": TruncatedNormal(0.0, 1.0, -1.0, math.inf),
}
"""Each law; the first and the fourth need the general clamp, the second and third the symmetric one, the normal none."""

CASES: dict[tuple[str, str], tuple[int | None, int | None]] = {
    **{("float32", law): (60, 55) for law in ("uniform", "uniform on +-a")},
    **{("float32", "truncated +-2"): (150, 140), ("float32", "normal"): (190, 170)},
    **{("bfloat16", law): (floor, None) for law, floor in (("uniform", 120), ("truncated +-2", 310), ("normal", 380))},
    **{(dtype, "normal"): (None, None) for dtype in ("float16", "float8_e4m3fn", "float64")},
    **{("float32", law): (None, None) for law in ("truncated +-2 about 1", "truncated at -1")},
}
"""Kernels by dtype and law, with the instructions per 16 bytes on sm_90: the floor, not to be exceeded, and the aim."""


class Count(NamedTuple):
    """A hot loop: vectors and instructions of an iteration, those always executed, and the expected number."""

    vectors: int
    loop: int
    central: int
    expected: float


def flow(text: str) -> tuple[list[str], dict[int, set[int]], set[int]]:
    """A disassembly's instructions, the successors of each that is reached from the first, and those that call subroutines."""
    code: list[tuple[str, str]] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if found := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@(\S+)\s+)?(\S.*?)\s*;", line):
            code.append((found[1] or "", found[2]))
        elif found := re.match(r"([^\s:]+):\s*$", line):
            labels[found[1]] = len(code)
    successors: dict[int, set[int]] = {}
    calls: set[int] = set()
    waiting: list[tuple[int, dict[str, int]]] = [(0, {})]  # and where the lanes of each convergence barrier meet
    while waiting:
        index, meeting = waiting.pop()
        if index in successors or index >= len(code):
            continue
        predicate, instruction = code[index]
        name, _, operands = instruction.partition(" ")
        kind, condition = name.partition(".")[0], operands.partition("`")[0].strip(" ,")
        target = re.search(r"`\((.+)\)", operands)
        ways = {index + 1}
        jumps = kind in ("BRA", "JMP", "BRX", "JMX") and name != "BRA.DIV"
        if jumps or (kind == "CALL" and target and target[1].startswith(".L_")):
            if target is None or target[1] not in labels:
                raise ValueError(f"the target of {instruction} is not known")
            ways = {labels[target[1]]} | (ways if predicate or condition else set())
        elif kind in ("EXIT", "RET"):
            ways = ways if predicate else set()
        elif kind == "BSSY" and target:
            meeting = {**meeting, condition: labels[target[1]]}
        elif kind == "BSYNC":
            ways = {meeting[condition]}
        elif kind == "CALL":
            calls.add(index)
        successors[index] = ways
        waiting += [(way, meeting) for way in ways]
    return [instruction for _, instruction in code], successors, calls


def reachable(start: set[int], edges: dict[int, set[int]], until: int = END) -> set[int]:
    """The nodes that can be reached from some, those included, without passing one."""
    found: set[int] = set()
    waiting = start - {until, END}
    while waiting:
        found |= waiting
        waiting = set().union(*(edges.get(node, ()) for node in waiting)) - found - {until, END}
    return found


def iteration(successors: dict[int, set[int]], stores: set[int]) -> tuple[dict[int, set[int]], dict[int, int]]:
    """The loop of the stores: its instructions' successors up to END, and where all ways from each of them meet again."""
    predecessors: dict[int, set[int]] = {node: set() for node in successors}
    for node, following in successors.items():
        for to in following:
            predecessors[to].add(node)
    loops = {frozenset(reachable(successors[s], successors) & reachable({s}, predecessors)) for s in stores} - {frozenset()}
    heads = {node for loop in loops for node in loop if predecessors[node] - loop}
    if len(loops) != 1 or len(heads) != 1:
        raise ValueError(f"{len(loops)} loops with 16-byte stores, entered at {len(heads)} places; one was expected")
    graph = {node: ((successors[node] & loop) - heads) or {END} for loop in loops for node in loop}
    try:
        order = list(TopologicalSorter(graph).static_order())[1:]  # successors first, END before all
    except CycleError:
        raise ValueError("there is a loop within the loop of the 16-byte stores") from None
    meets, depth = {END: END}, {END: 0}
    for node in order:
        ways = graph[node]
        while len(ways) > 1:
            deepest = max(ways, key=depth.__getitem__)
            ways = ways - {deepest} | {meets[deepest]}
        (meets[node],) = ways
        depth[node] = depth[meets[node]] + 1
    return graph, meets


def count(text: str, tail: float) -> Count:
    """The hot loop of a disassembled kernel whose elements are deep in the tail with probability `tail`."""
    code, successors, calls = flow(text)
    stored = {place for place, instruction in enumerate(code) if re.match(r"STG?\.", instruction)}
    wide = {place for place in stored if re.match(r"STG?\.\S*128", code[place])}
    loop, meets = iteration(successors, wide)
    weight: dict[int, float] = {}
    for node, ways in loop.items():
        for way in ways if len(ways) > 1 else ():
            block = reachable({way}, loop, meets[node])
            elements = len(block & stored)
            if not block & wide and (elements or block & calls):
                probability = 1.0 - (1.0 - tail) ** (WARP * elements)
                weight |= {inside: min(weight.get(inside, 1.0), probability) for inside in block}
    if any(weight.get(call, 1.0) for call in calls & loop.keys()):
        raise ValueError("the hot loop calls a subroutine, whose instructions are not counted")
    central = len(loop) - len(weight)
    return Count(len(loop.keys() & wide), len(loop), central, central + math.fsum(weight.values()))


def tail_probability(law: Distribution) -> float:
    """The probability that a value's depth exceeds CENTRAL_DEPTH; of a law that is uniform, or truncated within 3.26: 0."""
    if isinstance(law, Uniform):
        return 0.0
    ends = (law.lower, law.upper) if isinstance(law, TruncatedNormal) else (-math.inf, math.inf)
    low, high = map(NormalDist().cdf, ends)
    deep = (1.0 - math.sqrt(1.0 - math.exp(-CENTRAL_DEPTH))) / 2.0
    return (max(0.0, min(high, deep) - low) + max(0.0, high - max(low, 1.0 - deep))) / (high - low)


def nvdisasm() -> str:
    """The path of the disassembler: of the package nvidia-cuda-nvdisasm, else of a CUDA toolkit on PATH."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("nvidia-cuda-nvdisasm") or ():
            if file.name == "nvdisasm":
                return str(file.locate())
    if found := shutil.which("nvdisasm"):
        return found
    raise FileNotFoundError("nvdisasm is neither installed nor on PATH: pip install nvidia-cuda-nvdisasm")


def disassembled(image: bytes) -> str:
    """The SASS of a cubin."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(image)
        file.flush()
        return subprocess.run([nvdisasm(), "-c", file.name], capture_output=True, text=True, check=True).stdout


def resources(log: str) -> dict[str, int]:
    """What ptxas reports: registers, and bytes of spills and of local memory."""
    patterns = {"registers": r"Used (\d+) registers", "spills": r"(\d+) bytes spill", "local": r"(\d+) bytes stack frame"}
    found = {name: re.findall(pattern, log) for name, pattern in patterns.items()}
    if not all(found.values()):
        raise ValueError(f"ptxas reports no resources: {log.strip()}")
    return {name: sum(map(int, numbers)) for name, numbers in found.items()}


def row(dtype: str, law: str, architecture: int) -> dict[str, Any]:
    """All figures of the production kernel of a case, with the quantile that the law's sampler names."""
    distribution = LAWS[law]
    name, _ = dense.kernel(distribution.sampler(dtypes.canonical(dtype)))
    image, log = cuda_build.compile_source(name, architecture, "--ptxas-options=-v")
    vectors, _, central, expected = count(disassembled(image), tail_probability(distribution))
    floor, aim = CASES[dtype, law] if architecture == 90 else (None, None)
    each = {"instructions": expected, "central": central, "tail": expected - central}
    return {
        **{"architecture": architecture, "case": f"{dtype}, {law}", "kernel": name, "vectors": vectors},
        **{key: round(number / vectors, 2) for key, number in each.items()},
        **resources(log),
        **{"floor": floor, "aim": aim, "room": floor and round(floor - expected / vectors, 2)},
    }


def table(about: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """The Markdown of the results."""
    columns = [key for key in rows[0] if key not in ("architecture", "kernel")]
    text = f"NVRTC {about['nvrtc']}, {about['date']}, commit {about['commit']}, source {about['source']}. SASS instructions that "
    text += "a warp is expected to issue for 16 bytes a lane in the hot loop; benchmarks/sass.py says how they are counted.\n"
    for architecture in ARCHITECTURES:
        text += f"\n| sm_{architecture} | {' | '.join(columns[1:])} |\n| --- |{' ---: |' * len(columns[1:])}\n"
        for each in (each for each in rows if each["architecture"] == architecture):
            text += f"| {' | '.join('' if each[key] is None else str(each[key]) for key in columns)} |\n"
    return text


def main() -> None:
    """Count all cases on all architectures, print the table, write both files."""
    from cupy.cuda import nvrtc

    about = {key: machine()[key] for key in ("date", "commit")}
    about["nvrtc"] = ".".join(map(str, nvrtc.getVersion()))
    about["source"] = hashlib.sha256(cuda_source.source().encode()).hexdigest()[:12]
    rows = [row(*case, architecture) for architecture in ARCHITECTURES for case in CASES]
    (RESULTS / "sass.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    (RESULTS / "sass.md").write_text(table(about, rows))
    print(table(about, rows), end="")


if __name__ == "__main__":
    main()
