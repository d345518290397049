"""The CUDA C++ becomes the code that it should: no warnings, no spills, no fused sums, and no dearer than stated.

Nothing runs here, so no GPU is needed: NVRTC compiles, nvdisasm disassembles, `benchmarks/sass.py` counts. Companion tests
plant dearer and fused code and show that the same measure refuses it.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import re
import struct
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from host import machine

from gpuinit.backends.cuda import dense
from gpuinit.distributions import Normal, TruncatedNormal, Uniform
from gpuinit.kernels import coefficients, cuda_build, cuda_source, formats, quantiles

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from benchmarks import sass  # noqa: E402

SOURCES = [ROOT / "kernels" / name for name in cuda_source.FILES]


@functools.cache
def missing(tool: str) -> str:
    """Why NVRTC or nvdisasm cannot be used, or nothing."""
    try:
        if tool == "nvdisasm":
            sass.nvdisasm()
        else:
            from cupy.cuda import nvrtc

            nvrtc.getVersion()
    except Exception as error:
        return f"{tool} is missing: {error}"
    return ""


needs_nvrtc = pytest.mark.skipif(bool(missing("NVRTC")), reason=missing("NVRTC"))
needs_nvdisasm = pytest.mark.skipif(bool(missing("nvdisasm")), reason=missing("nvdisasm"))


# What the compiler says


def choices(architecture: int) -> list[str]:
    """For sm_90 all quantiles, storages and bounds, each other one shifted; for the other six a sixth of that each."""
    turn = [other for other in cuda_build.ARCHITECTURES if other != 90].index(architecture) if architecture != 90 else None
    each = (enumerate(names) for names in (cuda_source.QUANTILES, cuda_source.STORAGE, cuda_source.BOUNDS))
    made = []
    for (i, quantile), (j, storage), (k, bounds) in itertools.product(*each):
        if turn in (None, (i + j + k) % 3 + 3 * ((i + j) % 2)):
            made.append(cuda_source.dense_kernel(quantile, storage, bounds, bool(i + j + k & 1))[0])
    return [name for name in made if name in cuda_source.dense_kernels()]


def test_the_choices_cover_everything() -> None:
    """All but whether a vector is shifted, which is both in each quantile and in each storage."""
    known = [tuple(re.split("[<,>] ?", name)[1:5]) for name in cuda_source.dense_kernels()]
    for architectures in ((90,), set(cuda_build.ARCHITECTURES) - {90}):
        chosen = {tuple(re.split("[<,>] ?", name)[1:5]) for architecture in architectures for name in choices(architecture)}
        assert {choice[:3] for choice in chosen} == {choice[:3] for choice in known}
        for place in (0, 1, 2):
            assert {(c[place], c[3]) for c in chosen} == {(c[place], c[3]) for c in known}


def log_of(build: tuple[str, int]) -> str:
    """What NVRTC and ptxas say about a kernel; the message if it does not compile."""
    try:
        return cuda_build.compile_source(*build, "--ptxas-options=-v")[1]
    except cuda_build.BuildError as error:
        return f"error: {error}"


@pytest.fixture(scope="module")
def logs() -> dict[tuple[str, int], str]:
    """The logs of all builds, made by two processes: NVRTC compiles one kernel of a process at a time."""
    builds = [(name, architecture) for architecture in cuda_build.ARCHITECTURES for name in choices(architecture)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        return dict(zip(builds, pool.map(log_of, builds, chunksize=4), strict=True))


@needs_nvrtc
@pytest.mark.parametrize("architecture", cuda_build.ARCHITECTURES)
def test_kernels_compile_without_warnings_spills_or_local_memory(logs: dict[tuple[str, int], str], architecture: int) -> None:
    for name in choices(architecture):
        log = logs[name, architecture]
        assert not re.search("warning|error", log, re.IGNORECASE), f"{name}: {log}"
        found = sass.resources(log)
        assert found["spills"] == found["local"] == 0, f"{name}: {found}"


@needs_nvrtc
def test_the_log_shows_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: a variable that nothing uses; an array in local memory, since its index is not known."""
    head = "    typedef Fill<Quantile, Storage, BOUNDS, SHIFTED> Fill;\n"
    planted(monkeypatch, head, f"{head}    int unused = 1;\n")
    assert re.search('warning.*"unused"', log_of((UNIFORM, 90)))
    change = "reinterpret_cast<u64*>(dense.out)[threadIdx.x] = table[threadIdx.x % 16 ^ 1];"
    table = f"volatile u32 table[16]; table[threadIdx.x % 16] = blockIdx.x; {change}"
    planted(monkeypatch, head, f"{head}    {table}\n")
    assert sass.resources(log_of((UNIFORM, 90)))["local"] > 0


def planted(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    """Let kernels be compiled from a source with one place changed."""
    text = "\n".join([cuda_source.coefficients_header(), *(path.read_text() for path in SOURCES)]).replace("#pragma once", "")
    assert text.count(right) == 1
    monkeypatch.setattr(cuda_source, "source", lambda: text.replace(right, wrong))


# What it costs

FINISH = "x = fused(x, law.scale, law.location[e % 2]);"
UNIFORM, UNROLLED = cuda_source.dense_kernel("unit", "float32", "GENERAL", False)


def counted(name: str, tail: float = 0.0) -> sass.Count:
    """The hot loop of a kernel on sm_90."""
    return sass.count(sass.disassembled(cuda_build.compile_source(name, 90)[0]), tail)


@needs_nvrtc
@needs_nvdisasm
@pytest.mark.parametrize(("dtype", "law"), [case for case, bounds in sass.CASES.items() if bounds[0]])
def test_instructions_stay_within_their_floor(dtype: str, law: str) -> None:
    found = sass.row(dtype, law, 90)
    assert found["instructions"] <= found["floor"]


@needs_nvrtc
@needs_nvdisasm
def test_a_kernel_without_a_tail_counts_whole() -> None:
    found = counted(UNIFORM)
    assert found.vectors == UNROLLED
    assert found.loop == found.central == found.expected


@needs_nvrtc
@needs_nvdisasm
def test_dearer_code_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: a sum more for each value; a loop that does not unroll and pays its overhead for each vector."""
    right = counted(UNIFORM)
    planted(monkeypatch, FINISH, f"{FINISH} x = x + law.c[6];")
    assert counted(UNIFORM).expected / UNROLLED >= right.expected / UNROLLED + 4
    monkeypatch.undo()
    alone = counted(UNIFORM.replace(f", {UNROLLED}>", ", 1>"))
    assert alone.vectors == 1
    assert alone.expected > right.expected / UNROLLED


def listing(*lines: str) -> str:
    """What nvdisasm writes, of labels and instructions."""
    return "\n".join(line if line.endswith(":") else f"        /*{16 * i:04x}*/   {line} ;" for i, line in enumerate(lines))


def likely(n: int, tail: float) -> float:
    return 1 - (1 - tail) ** (32 * n)


BODY = ("MOV R1, R2", ".L_x_0:", "FADD R1, R1, R2", "STG.E.128 desc[UR4][R2.64], R4")
LATCH = ("@!P0 BRA `(.L_x_0)", "EXIT")
ELEMENT = ("FMUL R1, R1, R1", "ST.E desc[UR4][R2.64+0x4], R1")
NESTED = (
    *("BSSY B1, `(.L_x_9)", "@!P0 BRA `(.L_x_8)", "FADD R3, R3, R4"),
    *("BSSY B2, `(.L_x_2)", "@!P1 BRA `(.L_x_1)", *ELEMENT, ".L_x_1:", "BSYNC B2", ".L_x_2:"),
    *("@P2 BRA P3, `(.L_x_8)", *ELEMENT, ".L_x_8:", "BSYNC B1", ".L_x_9:"),
)
TAIL = 0.001


def test_nested_blocks_count_with_their_own_branch() -> None:
    """6 always, 5 in the block of two elements, and 2 in the block of each."""
    found = sass.count(listing(*BODY, *NESTED, *LATCH), TAIL)
    assert found[:3] == (1, 15, 6)
    assert found.expected == pytest.approx(6 + 5 * likely(2, TAIL) + 4 * likely(1, TAIL), rel=1e-12)
    assert sass.count(listing(*BODY, *NESTED, *LATCH), 0.0).expected == 6
    assert sass.count(listing(*BODY, *NESTED, *LATCH), 1.0).expected == 15


@pytest.mark.parametrize("latch", [LATCH, ("@P0 CALL.REL.NOINC `(.L_x_7)", "BRA `(.L_x_0)", ".L_x_7:", "EXIT")])
@pytest.mark.parametrize("branch", ["@P1 BRA `(.L_x_5)", "BRA.U UP0, `(.L_x_5)", "@P1 BRA !P2, `(.L_x_5)"])
@pytest.mark.parametrize("back", ["BRA `(.L_x_6)", "BSYNC B1"])
def test_blocks_out_of_line_belong_to_the_loop(latch: tuple[str, ...], branch: str, back: str) -> None:
    """Behind EXIT, entered by a branch that is seldom taken, left by a jump or at the convergence barrier."""
    code = (*BODY, "BSSY B1, `(.L_x_6)", branch, "BSYNC B1", ".L_x_6:", *latch, ".L_x_5:", *ELEMENT, back)
    found = sass.count(listing(*code), TAIL)
    assert found[:3] == (1, 8 + len(latch) // 2, 5 + len(latch) // 2)
    assert found.expected == pytest.approx(found.central + 3 * likely(1, TAIL), rel=1e-12)


def test_slow_paths_count_nothing_and_other_ways_in_full() -> None:
    """A division's slow path in an element's block, and what only a diverged warp does; two ways without a store count both."""
    slow = ("@P1 BRA `(.L_x_3)", "MOV R9, 0x1", "CALL.REL.NOINC `($__internal_0)", ".L_x_3:")
    code = (*BODY, "@P0 BRA `(.L_x_4)", *slow, *ELEMENT, ".L_x_4:", *LATCH)
    found = sass.count(listing(*code), TAIL)
    assert found.central == 4
    assert found.expected == pytest.approx(4 + 3 * likely(1, TAIL), rel=1e-12)
    either = ("@P0 BRA `(.L_x_4)", "MOV R9, 0x1", "BRA `(.L_x_5)", ".L_x_4:", "MOV R9, 0x2", ".L_x_5:")
    assert sass.count(listing(*BODY, *either, *LATCH), TAIL).expected == 7
    apart = ("BRA.DIV UR4, `(.L_x_4)", ".L_x_5:", *LATCH, ".L_x_4:", "MOV R9, 0x2", "BRA `(.L_x_5)")  # of a warp that diverged
    assert sass.count(listing(*BODY, *apart), TAIL).expected == 4


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ((*BODY, "EXIT"), "0 loops"),
        ((*BODY, LATCH[0], ".L_x_1:", *BODY[2:], "@!P0 BRA `(.L_x_1)", "EXIT"), "2 loops"),
        ((*BODY, ".L_x_1:", "FADD R1, R1, R1", "@P1 BRA `(.L_x_1)", *LATCH), "a loop within"),
        ((*BODY, "BRX R1 -0x10", *LATCH), "target of BRX"),
        ((*BODY, "CALL.REL.NOINC `($__internal_0)", *LATCH), "calls a subroutine"),
    ],
)
def test_what_the_counter_does_not_understand_is_an_error(code: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sass.count(listing(*code), TAIL)


def test_the_probability_of_a_tail() -> None:
    """Against a million words through the quantile itself: its own depth beside its own limit, to six deviations."""
    assert likely(4, sass.tail_probability(Normal(0.0, 1.0))) == pytest.approx(0.116, abs=5e-4)
    assert likely(1, sass.tail_probability(Normal(0.0, 1.0))) == pytest.approx(0.030, abs=5e-4)
    assert sass.tail_probability(Uniform(0.0, 1.0)) == sass.tail_probability(TruncatedNormal(0.0, 1.0)) == 0.0
    word = np.random.default_rng(0).integers(0, 2**32, 10**6, np.uint64).astype(np.uint32)
    for law in (Normal(0.0, 1.0), TruncatedNormal(0.0, 1.0, -1.0, 3.5), TruncatedNormal(0.0, 1.0, 2.0, np.inf)):
        sampler = law.sampler(np.dtype(np.float32))
        depth = getattr(quantiles, f"{sampler.quantile}_depth")(word, tuple(sampler.reals[7:]), tuple(sampler.integers))
        expected = sass.tail_probability(law)
        assert np.mean(depth > sampler.reals[12]) == pytest.approx(expected, abs=6 * (expected / word.size) ** 0.5)


# What it computes

FLOAT32 = [name for name in cuda_source.dense_kernels() if "Float32" in name]


def ptx_of(name: str, *options: str) -> str:
    """The PTX of a kernel."""
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(cuda_source.source(), "gpuinit.cu", (), ())
    nvrtc.addNameExpression(program, name)
    nvrtc.compileProgram(program, ("--gpu-architecture=compute_90", *options))
    ptx = nvrtc.getPTX(program)
    nvrtc.destroyProgram(program)
    return ptx.decode() if isinstance(ptx, bytes) else ptx


def fusible(ptx: str) -> list[str]:
    """Sums and products that ptxas may fuse, since no rounding is asked of them; and whatever flushes subnormals."""
    return re.findall(r"\b(?:add|sub|mul)\.f(?:32|64)\b|\S+\.ftz\S*", ptx)


def hot_operations(name: str) -> Counter[str]:
    """How often each operation stands in the hot loop on sm_90."""
    code, successors, _ = sass.flow(sass.disassembled(cuda_build.compile_source(name, 90)[0]))
    loop, _ = sass.iteration(successors, {place for place, instruction in enumerate(code) if instruction.startswith("STG.E.128")})
    return Counter(code[place].split()[0] for place in loop)


def test_the_compiler_is_told_to_be_exact() -> None:
    assert {"--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"} <= set(cuda_build.OPTIONS)


@needs_nvrtc
@pytest.mark.parametrize("quantile", cuda_source.QUANTILES)
@pytest.mark.parametrize("storage", ["float32", "float64"])
def test_nothing_in_the_ptx_may_be_fused_or_flushed(quantile: str, storage: str) -> None:
    if (quantile, storage) == ("shallow", "float64"):
        quantile = "symmetric"  # shallow is float32's alone
    name, _ = cuda_source.dense_kernel(quantile, storage, "GENERAL", True)
    assert not fusible(ptx_of(name, *cuda_build.OPTIONS))
    assert quantile == "unit" or fusible(ptx_of(name, "--std=c++17"))
    assert fusible(ptx_of(name, *cuda_build.OPTIONS, "--ftz=true")) or storage == "float64"


@needs_nvrtc
@needs_nvdisasm
def test_one_fused_operation_for_a_uniform_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the hot loop, none flushes. Wrong: a product that feeds a sum bare; it is fused as soon as the options allow it."""
    found = hot_operations(UNIFORM)
    assert found["FFMA"] == 4 * UNROLLED
    assert not [operation for operation in found if operation.startswith(("FADD", "FMUL")) or "FTZ" in operation]
    planted(monkeypatch, FINISH, "x = x * law.scale + law.location[e % 2];")
    bare = hot_operations(UNIFORM)
    assert (bare["FFMA"], bare["FMUL"], bare["FADD"]) == (0, 4 * UNROLLED, 4 * UNROLLED)
    monkeypatch.setattr(cuda_build, "OPTIONS", ("--std=c++17",))
    assert hot_operations(UNIFORM)["FFMA"] == 4 * UNROLLED


# What it is made of


def test_the_macros_are_the_specifications_numbers() -> None:
    """Bit for bit; every macro that the sources use is there, and none that they do not."""
    header = cuda_source.coefficients_header()
    macros = dict(re.findall(r"^#define (F(?:32|64)_\w+) (.+)$", header, re.MULTILINE))
    assert macros["F32_SHALLOW_ORIGIN"] == f"{np.float32(coefficients.SHALLOW_ORIGIN).view(np.uint32):#x}u"
    for macro, numbers in macros.items():
        precision, name = macro.split("_", 1)
        if name == "SHALLOW_ORIGIN":  # a bit pattern
            continue
        written = [float.fromhex(number.removesuffix("f")) for number in numbers.split(", ")]
        assert all(number.endswith("f") == (precision == "F32") for number in numbers.split(", "))
        constants = formats.FLOAT32 if precision == "F32" else formats.FLOAT64
        if re.fullmatch(r"START_\d", name):
            meant = constants.start[int(name[-1])]
        else:
            places = ((constants, name.lower()), (quantiles, f"{name}{precision[1:]}"), (quantiles, name))
            meant = next(getattr(place, known) for place, known in places if hasattr(place, known))
        expected = [float(number) for number in (meant if isinstance(meant, tuple) else (meant,))]
        assert struct.pack(f"{len(written)}d", *written) == struct.pack(f"{len(expected)}d", *expected), macro
        assert precision == "F64" or all(float(np.float32(number)) == number for number in written), macro
    used = set(re.findall(r"\bF(?:32|64)_\w+", "".join(re.sub("//.*", "", path.read_text()) for path in SOURCES)))
    assert used == set(macros)


@pytest.mark.skipif(machine.compiler() is None, reason="no C++ compiler of the host: install g++, or name one in CXX")
@pytest.mark.parametrize("real", ["float32", "float64"])
def test_the_launchers_structure_is_the_kernels(real: str) -> None:
    """In size; the fields' places are shown by the values that the kernels draw (tests/test_cuda_dense.py)."""
    assert dense._structure(real).itemsize == machine.built().dense_size(int(real == "float64"))
