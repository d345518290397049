"""Means and variances of every random class in Keras are those that Keras states, at 2^18 samples.

A score is about standard normal under the right law, and refused beyond 5: false positives 5.7e-7 a score; seeds are fixed. A
variance that is wrong by a factor of 1.02 gives a score of 7.2 on average (normal; more for the others), and is refused 98 times
in 100; fan_out for fan_in, or a cut's loss that is not made good, gives hundreds. `test_wrong_laws_are_refused` shows it.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("keras")

import keras
import numpy as np
from keras_table import array

import gpuinit.keras as ours

pytestmark = pytest.mark.frameworks

SHAPE = (256, 1024)
LOSS = 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
"""The variance that a standard normal loses when it is cut at +-2: 4 phi(2) / erf(sqrt 2)."""
CUT = math.sqrt(1 - LOSS)
"""The standard deviation that it keeps."""
FOURTH = {"uniform": 9 / 5, "normal": 3.0, "truncated": (3 * (1 - LOSS) - 4 * LOSS) / (1 - LOSS) ** 2}
"""Fourth central moments over the squared variance."""
LAWS: dict[str, tuple[dict[str, Any], float, float, str]] = {
    "RandomNormal": ({"mean": 0.5, "stddev": 0.2}, 0.5, 0.04, "normal"),
    "RandomUniform": ({"minval": -1.0, "maxval": 3.0}, 1.0, 16 / 12, "uniform"),
    "TruncatedNormal": ({"mean": -1.0, "stddev": 0.2}, -1.0, 0.04 * CUT**2, "truncated"),
    "VarianceScaling": ({"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"}, 0.0, 3 / 1024, "normal"),
    "GlorotNormal": ({}, 0.0, 2 / 1280, "truncated"),
    "GlorotUniform": ({}, 0.0, 2 / 1280, "uniform"),
    "HeNormal": ({}, 0.0, 2 / 256, "truncated"),
    "HeUniform": ({}, 0.0, 2 / 256, "uniform"),
    "LecunNormal": ({}, 0.0, 1 / 256, "truncated"),
    "LecunUniform": ({}, 0.0, 1 / 256, "uniform"),
}


def scores(x: np.ndarray[Any, Any], mean: float, variance: float, kind: str) -> tuple[float, float]:
    """Of the mean and of the variance."""
    x = x.astype(np.float64)
    spread = variance * math.sqrt((FOURTH[kind] - 1) / x.size)
    return float((x.mean() - mean) / math.sqrt(variance / x.size)), float((np.square(x - mean).mean() - variance) / spread)


@pytest.mark.parametrize("name", LAWS)
def test_laws(name: str) -> None:
    arguments, mean, variance, kind = LAWS[name]
    x = array(getattr(ours, name)(seed=11, **arguments)(SHAPE))
    assert max(map(abs, scores(x, mean, variance, kind))) < 5


@pytest.mark.parametrize("name", LAWS)
def test_keras_own_have_the_same_law(name: str) -> None:
    """What is written in LAWS is Keras' law, and not only ours."""
    arguments, mean, variance, kind = LAWS[name]
    x = array(getattr(keras.initializers, name)(seed=11, **arguments)(SHAPE))
    assert max(map(abs, scores(x, mean, variance, kind))) < 5


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda: ours.HeNormal(seed=11)(SHAPE[::-1]), "HeNormal"),  # fan_out for fan_in
        (lambda: ours.HeNormal(seed=11)(SHAPE), "GlorotNormal"),
        (lambda: ours.TruncatedNormal(0.0, math.sqrt(2 / 256), seed=11)(SHAPE), "HeNormal"),  # the cut's loss not made good
        (lambda: ours.RandomNormal(0.5, 0.2 * math.sqrt(1.03), seed=11)(SHAPE), "RandomNormal"),
        (lambda: ours.RandomUniform(-1.0, 3.05, seed=11)(SHAPE), "RandomUniform"),
    ],
)
def test_wrong_laws_are_refused(wrong: Any, name: str) -> None:
    _, mean, variance, kind = LAWS[name]
    assert max(map(abs, scores(array(wrong()), mean, variance, kind))) > 5


def test_orthogonal_is_orthogonal() -> None:
    q = array(ours.Orthogonal(gain=2.0, seed=1)((3, 3, 16, 64))).reshape(144, 64).astype(np.float64)
    assert np.abs(q.T @ q - 4 * np.eye(64)).max() < 1e-5


def test_truncated_means_truncated() -> None:
    """Keras' own on PyTorch leave the interval: the largest of 80 million was 3.75 standard deviations."""
    x = np.abs(array(ours.TruncatedNormal(0.0, 1.0, seed=1)((2**20,))))
    assert 1.999 < x.max() <= 2.0
