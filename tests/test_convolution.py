"""Convolution kernels with one tap: DeltaOrthogonal, which keeps lengths, and Dirac, which is PyTorch's element by element."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from conftest import same_bits

import gpuinit
from gpuinit.backends import structures

# DeltaOrthogonal

CENTRES = [
    ((1,), (0,)),
    ((3,), (1,)),
    ((4,), (1,)),
    ((2, 5), (0, 2)),
    ((3, 3), (1, 1)),
    ((2, 3, 6), (0, 1, 2)),
    ((2, 2, 2, 3), (0, 0, 0, 1)),
]
"""Spatial sizes and the centre, (size - 1) // 2: JAX's."""


@pytest.mark.parametrize(("sizes", "centre"), CENTRES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "complex64"])
def test_the_centre_holds_orthogonal_s_matrix(sizes: tuple[int, ...], centre: tuple[int, ...], dtype: str) -> None:
    """Bit for bit, and zeros elsewhere. Rejects size // 2 at even sizes, and a matrix of another key or gain."""
    kernel = gpuinit.DeltaOrthogonal(0.5, seed=7)((*sizes, 5, 8), dtype)
    assert same_bits(kernel[centre], gpuinit.Orthogonal(0.5, seed=7)((5, 8), dtype))
    kernel[centre] = 0
    assert not kernel.view(np.uint8).any()


@pytest.mark.parametrize(("channels", "gain"), [((4, 4), 1.0), ((3, 7), 1.0), ((1, 5), -2.0), ((6, 6), 0.25)])
@pytest.mark.parametrize("sizes", [(3,), (4,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_circular_convolutions_keep_lengths(channels: tuple[int, int], gain: float, sizes: tuple[int, ...], dtype: str) -> None:
    """|y| = |gain| |x| for y[p] = sum over q of x[p - q] kernel[q], indices modulo the image.

    Rejects a kernel that is orthogonal as a matrix of all taps: its image of a wave is longer or shorter.
    """
    shape = (*sizes, *channels)
    image = tuple(size + 3 for size in sizes)
    x = gpuinit.RandomNormal(0.0, 1.0, seed=1)((*image, channels[0]), dtype)

    def convolved(kernel: Any) -> Any:
        axes = tuple(range(len(sizes)))
        return sum(np.roll(x, place, axes) @ kernel[place] for place in itertools.product(*map(range, sizes)))

    def ratio(kernel: Any) -> float:
        return float(np.linalg.norm(convolved(kernel)) / np.linalg.norm(x))

    assert abs(ratio(gpuinit.DeltaOrthogonal(gain, seed=3)(shape, dtype)) - abs(gain)) < 1e-12
    assert abs(ratio(gpuinit.Orthogonal(gain, seed=3)(shape, dtype)) - abs(gain)) > 1e-3 * abs(gain)


@pytest.mark.parametrize(("sizes", "centre"), CENTRES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_the_torch_layout_is_the_same_kernel_transposed(sizes: tuple[int, ...], centre: tuple[int, ...], dtype: str) -> None:
    """Bit for bit but for complex ones, whose wide matrices are no transposes; parts too. Rejects (in, out) at the centre."""
    init = gpuinit.DeltaOrthogonal(0.5, seed=7, layout="torch")
    shape = (8, 5, *sizes)
    kernel = init(shape, dtype)
    assert same_bits(kernel[(slice(None), slice(None), *centre)].copy(), gpuinit.Orthogonal(0.5, seed=7)((8, 5), dtype))
    if dtype != "complex64":
        turned = kernel.transpose(*range(2, kernel.ndim), 1, 0)
        assert same_bits(turned.copy(), gpuinit.DeltaOrthogonal(0.5, seed=7)((*sizes, 5, 8), dtype))
    assert same_bits(init(shape, dtype, rows=[7, 0, 7]), kernel[[7, 0, 7]])
    assert same_bits(init(shape, dtype, block=(slice(2, 6), slice(1, 3))), kernel[2:6, 1:3].copy())


def test_what_misses_the_centre_draws_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the whole of a kernel draw more than one, however often rows meet the centre."""
    drawn = []
    real = structures.write_haar

    def counted(*arguments: Any) -> Any:
        drawn.append(arguments[0].shape)
        return real(*arguments)

    monkeypatch.setattr(structures, "write_haar", counted)
    init, shape = gpuinit.DeltaOrthogonal(seed=3), (3, 4, 5, 6)
    for part in ({"block": (slice(0, 1),)}, {"block": (slice(None), slice(2, 4))}, {"rows": [0, 2, 2]}, {"rows": []}):
        assert not init(shape, **part).any()
    init((0, 3, 5, 6))
    init((3, 0, 5, 6))
    assert drawn == []
    whole = init(shape)
    assert drawn == [(5, 6)]
    assert same_bits(init(shape, rows=[1, 1, 0, 1]), whole[[1, 1, 0, 1]])
    assert drawn == [(5, 6)] * 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 0, 0), (3, 0, 4), (0, 0, 2, 2), (2, 1, 1)])
def test_small_and_empty_kernels(shape: tuple[int, ...]) -> None:
    if len(shape) > 2:
        assert gpuinit.DeltaOrthogonal(seed=1)(shape).shape == shape


def test_refusals_of_delta_orthogonal() -> None:
    for shape in [(), (3,), (3, 4)]:
        with pytest.raises(ValueError, match="DeltaOrthogonal needs at least 3"):
            gpuinit.DeltaOrthogonal()(shape)
        with pytest.raises(ValueError, match=r"DeltaOrthogonal needs at least 3, \(out, in, sizes\.\.\)"):
            gpuinit.DeltaOrthogonal(layout="torch")(shape)
    with pytest.raises(ValueError, match="has 5 input channels and 4 output channels"):
        gpuinit.DeltaOrthogonal()((3, 3, 5, 4))
    with pytest.raises(ValueError, match="5 input channels and 4 output channels"):
        gpuinit.DeltaOrthogonal(layout="torch")((4, 5, 3, 3))
    with pytest.raises(ValueError, match="layout='jax'"):
        gpuinit.DeltaOrthogonal(layout="jax")
    with pytest.raises(ValueError, match="float16 cannot hold gain=1000000.0"):
        gpuinit.DeltaOrthogonal(1e6)((3, 4, 4), "float16")


# Dirac

KERNELS: list[tuple[int, ...]] = [(1,), (2,), (3,), (4,), (2, 3), (1, 1), (4, 4), (3, 2, 5), (0,), (3, 0)]
CHANNELS = [(6, 3), (6, 6), (6, 9), (1, 1), (12, 5), (6, 1), (6, 0)]


@pytest.mark.parametrize("sizes", KERNELS)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_dirac_is_torch_s(sizes: tuple[int, ...], groups: int) -> None:
    """Odd and even sizes, more and fewer inputs than outputs of a group; the other layout is the same transposed."""
    torch = pytest.importorskip("torch")
    for out, given in CHANNELS:
        if out % groups:
            continue
        shape = (out, given, *sizes)
        try:
            wanted = torch.nn.init.dirac_(torch.full(shape, 7.0), groups).numpy()
        except (RuntimeError, IndexError):  # it writes at a centre that a kernel of size 0 has not
            wanted = np.zeros(shape, np.float32)
        assert same_bits(gpuinit.Dirac(groups)(shape), wanted)
        assert same_bits(gpuinit.Dirac(groups, -2.5)(shape, "float64"), np.where(wanted == 1, -2.5, 0.0))
        keras = gpuinit.Dirac(groups, layout="keras")((*sizes, given, out))
        assert same_bits(np.ascontiguousarray(np.moveaxis(keras, (-1, -2), (0, 1))), wanted)


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_dirac_hands_channels_through(layout: str) -> None:
    """One group, odd kernel: a convolution gives the image itself, times gain."""
    shape = (4, 4, 3) if layout == "torch" else (3, 4, 4)
    kernel = gpuinit.Dirac(1, 2.0, layout)(shape, "float64")
    taps = np.moveaxis(kernel, -1, 0).transpose(0, 2, 1) if layout == "torch" else kernel  # (size, in, out)
    x = np.random.default_rng(1).standard_normal((9, 4))
    y = sum(np.roll(x, tap - 1, 0) @ taps[tap] for tap in range(3))
    assert (y == 2 * x).all()


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_parts_of_dirac(layout: str) -> None:
    shape = (12, 4, 3, 2) if layout == "torch" else (3, 2, 4, 12)
    init = gpuinit.Dirac(3, 2.0, layout)
    whole = init(shape, "int16")
    rng = np.random.default_rng(5)
    for _ in range(200):
        ends = [sorted(rng.integers(0, length + 1, 2)) for length in shape]
        block = tuple(slice(*pair) for pair in ends)
        assert same_bits(init(shape, "int16", block=block), np.ascontiguousarray(whole[block]))
        rows = rng.integers(0, shape[0], 5)
        part = init(shape, "int16", rows=rows, block=(slice(None), *block[1:]))
        assert same_bits(part, np.ascontiguousarray(whole[rows][(slice(None), *block[1:])]))


def test_depthwise_kernels_of_many_channels() -> None:
    """More rows than are written at once: each begins a group."""
    channels = structures._RUN + 77
    kernel = gpuinit.Dirac(channels)((channels, 1, 3), "uint8")
    assert (kernel[:, 0] == [0, 1, 0]).all()


def test_refusals_of_dirac() -> None:
    for shape in [(3,), (3, 4), (2, 2, 3, 3, 3, 3)]:
        with pytest.raises(ValueError, match="Dirac needs 3, 4 or 5"):
            gpuinit.Dirac()(shape)
    with pytest.raises(ValueError, match="groups=4 does not divide the 6 output channels"):
        gpuinit.Dirac(4)((6, 8, 3))
    with pytest.raises(ValueError, match=r"groups=4 does not divide the 6 output channels .*layout='keras'"):
        gpuinit.Dirac(4, layout="keras")((3, 8, 6))
    with pytest.raises(ValueError, match="int8 cannot hold 300"):
        gpuinit.Dirac(gain=300.0)((2, 2, 3), "int8")


def test_a_part_of_a_kernel_that_no_memory_holds() -> None:
    part = gpuinit.Dirac(2**20)((2**40, 8, 3), "int8", block=(slice(2**20 + 3, 2**20 + 5),))
    assert part.shape == (2, 8, 3) and np.argwhere(part).tolist() == [[0, 3, 1], [1, 4, 1]]
