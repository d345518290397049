"""A machine that stands for a GPU: the production kernels by the host's C++ compiler, over memory of this process.

It takes what the launchers give (gpuinit/backends/cuda) and runs it with the grid, the block and the arguments that a
driver would be given.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from gpuinit.backends.cuda.launch import Launch
from gpuinit.kernels import cuda_source

__all__ = ["SANITIZE", "built", "compiler", "run"]

HERE = Path(__file__).parent
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1")
SANITIZED_STORAGES = ("Float32", "Float64", "BFloat16", "Float8E5M2")
"""One of each size: a sanitized build of all takes long."""


def compiler() -> str | None:
    """The host's C++ compiler, or None if there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


def program(storages: tuple[str, ...] = tuple(cuda_source.STORAGE.values())) -> str:
    """The kernels of some element types between the shim and a table of them."""
    entries = []
    for name in (name for name in cuda_source.dense_kernels() if name.split(", ")[1] in storages):
        real = "double" if "Float64" in name else "float"
        entries.append(f'    {{"{name}", call<Dense<{real}>, {name}>}},')
    table = "\n".join(entries)
    return f"""{(HERE / "shim.h").read_text()}
{cuda_source.source()}
static const Kernel KERNELS[] = {{
{table}
}};

extern "C" int kernels() {{ return sizeof(KERNELS) / sizeof(KERNELS[0]); }}
extern "C" const char* kernel_name(int number) {{ return KERNELS[number].name; }}
extern "C" unsigned long long dense_size(int wide) {{ return wide ? sizeof(Dense<double>) : sizeof(Dense<float>); }}

extern "C" int launch(int number, unsigned gx, unsigned gy, unsigned bx, unsigned by, void** arguments) {{
    gridDim = {{gx, gy, 1}};
    blockDim = {{bx, by, 1}};
    for (blockIdx.y = 0; blockIdx.y < gy; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < gx; ++blockIdx.x)
            for (threadIdx.y = 0; threadIdx.y < by; ++threadIdx.y)
                for (threadIdx.x = 0; threadIdx.x < bx; ++threadIdx.x) KERNELS[number].run(arguments);
    return 0;
}}
"""


@functools.cache
def built(*options: str) -> ctypes.CDLL:
    """The kernels as a shared object, built once for these options and kept in the temporary folder by their digest."""
    text = program(SANITIZED_STORAGES) if options else program()
    digest = hashlib.sha256("\0".join((text, *options)).encode()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"gpuinit-host-{os.getuid()}-{digest}.so"
    if not built.exists():
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
            source.write_text(text)
            flags = ["-std=c++17", "-O0" if options else "-O1", "-mfma", "-ffp-contract=off", "-Wno-unknown-pragmas", *options]
            found = subprocess.run(
                [str(compiler()), *flags, "-shared", "-fPIC", "-o", str(target), str(source)], capture_output=True, text=True
            )
            assert found.returncode == 0, found.stderr
            shutil.move(target, built)
    return ctypes.CDLL(str(built))


@functools.cache
def _numbers(*options: str) -> dict[str, int]:
    host = built(*options)
    host.kernel_name.restype = ctypes.c_char_p
    return {host.kernel_name(number).decode(): number for number in range(host.kernels())}


def run(launch: Launch, *options: str) -> None:
    """Run one launch of a CUDA C++ kernel."""
    assert isinstance(launch.kernel, str)
    pointers = (ctypes.c_void_p * len(launch.arguments))(*(argument.ctypes.data for argument in launch.arguments))
    built(*options).launch(_numbers(*options)[launch.kernel], *launch.grid, *launch.block, pointers)
