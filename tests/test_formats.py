"""What the formats write is read by their own libraries; what they cannot hold is refused, naming one that can."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import gpuinit
from gpuinit import dtypes
from gpuinit.recipe import Recipe
from gpuinit.tables.formats import FORMATS, by_suffix

ALL = (*dtypes.RANDOM, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SHAPES = [(), (0,), (0, 5), (3,), (4, 5), (2, 3, 4)]
SAFETENSORS_ALONE = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}


def file_of(format: str, dtype: str, shape: tuple[int, ...], folder: Path) -> tuple[Path, bytes, int]:
    kind = dtypes.canonical(dtype)
    size = math.prod(shape) * kind.itemsize
    elements = np.random.default_rng(1).integers(0, 2, size, np.uint8).tobytes()
    header = FORMATS[format].header(Recipe.of(gpuinit.Zeros(), shape, dtype), shape, "weight")
    path = folder / ("t" + FORMATS[format].suffix)
    path.write_bytes(header + elements)
    return path, elements, len(header)


@pytest.mark.parametrize("dtype", sorted(set(ALL) - {"complex128"}))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_safetensors_library_reads_it(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path, elements, header = file_of("safetensors", dtype, shape, tmp_path)
    assert header % 64 == 0
    [(name, found)] = safetensors.deserialize(path.read_bytes())
    assert (name, tuple(found["shape"]), bytes(found["data"])) == ("weight", shape, elements)
    with safetensors.safe_open(path, framework="np") as opened:
        recipe = Recipe.from_json(json.loads(opened.metadata()["gpuinit"]))
        assert (recipe.shape, recipe.dtype) == (shape, dtype)
        if dtype not in SAFETENSORS_ALONE:
            assert opened.get_tensor("weight").dtype == dtypes.canonical(dtype)


@pytest.mark.parametrize("dtype", sorted(set(ALL) - SAFETENSORS_ALONE))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy_reads_it(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path, elements, header = file_of("npy", dtype, shape, tmp_path)
    assert header % 64 == 0
    for mode in (None, "r") if math.prod(shape) else (None,):
        found = np.load(path, mmap_mode=mode)
        assert (found.shape, found.dtype, found.tobytes()) == (shape, dtypes.canonical(dtype), elements)


@pytest.mark.parametrize("dtype", ALL)
def test_each_dtype_has_a_format_and_the_others_name_it(dtype: str) -> None:
    kind = dtypes.canonical(dtype)
    refused = {"npy": SAFETENSORS_ALONE, "zarr": SAFETENSORS_ALONE, "safetensors": {"complex128"}}
    for name, form in FORMATS.items():
        if dtype in refused[name]:
            other = "npy" if name == "safetensors" else "safetensors"
            with pytest.raises(ValueError, match=f"format='{name}' cannot hold dtype={dtype}; format='{other}' can"):
                form.check(kind)
        else:
            form.check(kind)


def test_shapes_of_more_than_2_to_the_32_bytes() -> None:
    recipe = Recipe.of(gpuinit.Zeros(), (2**40, 128), "float32")
    header = FORMATS["safetensors"].header(recipe, recipe.shape, "weight")
    assert json.loads(header[8:])["weight"]["data_offsets"] == [0, 2**49]
    assert str(2**40).encode() in FORMATS["npy"].header(recipe, recipe.shape, "weight")


def test_suffixes_and_companions() -> None:
    assert by_suffix(Path("a/w.npy")) is FORMATS["npy"]
    assert by_suffix(Path("w.x.safetensors")) is FORMATS["safetensors"]
    assert FORMATS["npy"].companion(Path("a/w.x.npy")) == Path("a/w.x.json")
    assert FORMATS["safetensors"].companion(Path("a/w.safetensors")) is None
    for wrong in ("w", "w.bin", ".npy", "w.npy.gz"):
        with pytest.raises(ValueError, match=r"the suffix must be \.safetensors or \.npy"):
            by_suffix(Path(wrong))
