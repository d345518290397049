"""Fans: golden values of Keras 3.15, the axes, and that they come from the logical shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuinit
from gpuinit.fans import compute_fans


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        (7, (7, 7)),
        ((3, 4), (3, 4)),
        ([3, 4], (3, 4)),
        ((0,), (0, 0)),
        ((0, 4), (0, 4)),
        ((2, 0, 3), (0, 6)),
        ((32, 8, 16), (256, 512)),
        ((3, 3, 7, 5), (63, 45)),
        ((10**12, 128), (10**12, 128)),
        (np.array([3, 4]), (3, 4)),
    ],
)
def test_keras_fans(shape: Any, fans: tuple[int, int]) -> None:
    assert compute_fans(shape) == fans
    assert all(type(fan) is int for fan in compute_fans(shape))


@pytest.mark.parametrize(
    ("shape", "input_axes", "output_axes", "fans"),
    [
        ((32, 8, 16), (0,), (1, 2), (32, 128)),
        ((32, 8, 16), [0, 1], [2], (256, 16)),
        ((32, 8, 16), [-1], [0, -2], (16, 256)),
        ((3, 4), [], [], (1, 1)),
        ((3, 4), [0], None, (3, 4)),  # one alone is ignored
        ((3, 3, 7, 5), None, [1], (63, 45)),
    ],
)
def test_keras_axes(shape: Any, input_axes: Any, output_axes: Any, fans: tuple[int, int]) -> None:
    assert compute_fans(shape, input_axes, output_axes) == fans


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6))
def test_a_convolution_has_both_fans_times_its_receptive_field(shape: list[int]) -> None:
    field = math.prod(shape[:-2])
    assert compute_fans(shape) == (field * shape[-2], field * shape[-1])


@pytest.mark.parametrize("axes", [([2], [0]), ([0], [-3]), ([0, 5], [1])])
def test_an_axis_that_is_not_there(axes: tuple[list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match=r"shape=\(3, 4\) has no axis"):
        compute_fans((3, 4), *axes)
    with pytest.raises(IndexError):
        gpuinit.HeNormal(1, *axes)((3, 4))


def test_a_shard_has_the_fans_of_the_whole() -> None:
    initializer = gpuinit.HeUniform(seed=1)
    shard = initializer((10**12, 128), block=(slice(5, 9),))
    limit = math.sqrt(6 / 10**12)
    assert 0 < np.abs(shard).max() <= limit < math.sqrt(6 / 4)
