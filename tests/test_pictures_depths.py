"""Signals through deep stacks: against a stack computed here, and the message that the pictures give to a newcomer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import pictures
from gpuinit.pictures import depths
from gpuinit.pictures.propagation import ACTIVATIONS, NAMES, Signal, propagate

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'gpuinit[plots]'")


def straight(init: Any, activation: str, depth: int, width: int, inputs: int, seed: int) -> tuple[list[float], list[float]]:
    """The same stack, each derivative by central differences of the loss sum(g y_last) at one input's units."""
    key = gpuinit.Key(seed)
    weights = [type(init)(seed=key.fold_in(n))((width, width)).astype(np.float64) for n in range(1, depth + 1)]
    x = gpuinit.RandomNormal(0.0, 1.0, seed=key.fold_in("inputs"))((inputs, width)).astype(np.float64)
    g = gpuinit.RandomNormal(0.0, 1.0, seed=key.fold_in("gradient"))((inputs, width)).astype(np.float64)
    function = {
        "relu": lambda y: y * (y > 0),
        "tanh": lambda y: 1 - 2 / (np.exp(2 * y) + 1),
        "selu": lambda y: 1.0507009873554805 * np.where(y > 0, y, 1.6732632423543772 * (np.exp(y) - 1)),
    }[activation]

    def rest(y: Any, layer: int) -> Any:
        for matrix in weights[layer + 1 :]:
            y = function(y) @ matrix
        return (g * y).sum(axis=1)

    forward, backward, y = [], [], x @ weights[0]
    for layer in range(depth):
        y = y if layer == 0 else function(y) @ weights[layer]
        forward.append(float((y**2).mean()))
        step = 1e-6
        slopes = [(rest(y + step * e, layer) - rest(y - step * e, layer)) / (2 * step) for e in np.eye(width)]
        backward.append(float((np.array(slopes) ** 2).mean()))
    return forward, backward


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_signals_are_those_of_the_stack(activation: str) -> None:
    """The gradient too: without the derivative of f, or with that of another layer, it is far off."""
    init = gpuinit.HeUniform()
    signal = propagate(init, activation, depth=4, width=12, inputs=6, seed=9)
    forward, backward = straight(init, activation, 4, 12, 6, 9)
    assert signal.forward == pytest.approx(forward, rel=1e-9)
    assert signal.backward == pytest.approx(backward, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_relu(seed: int) -> None:
    """he_* keep the signal within a factor of 30 over 50 layers; glorot_* and lecun_* halve it at each: 2^-49 within that factor.

    The factor: the logarithm of the mean square walks with variance of about 5 / width a layer, 1 after 50 layers of 256, so 30
    is 3.4 sigma for the worst of all inputs' common drift; a scale that is wrong by 2 misses by 2^49.
    """
    for name in ("he_normal", "he_uniform"):
        signal = propagate(name, "relu", seed=seed)
        for values in (signal.forward, signal.backward):
            assert values.min() > 1 / 30 and values.max() < 30
    for name in ("glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform"):
        signal = propagate(name, "relu", seed=seed)
        for values in (signal.forward, signal.backward[::-1]):
            assert values[-1] / values[0] * 2.0**49 == pytest.approx(1, rel=30) and values[-1] / values[0] * 2.0**49 > 1 / 30
    fixed = propagate("random_normal", "relu", seed=seed).forward
    assert fixed[-1] / fixed[0] < 1e-20  # (256 0.05^2 / 2)^49 = 6e-25


def test_tanh_and_selu() -> None:
    """tanh: glorot_* lose less than a thousandfold, a fixed deviation more than 10^8; SELU: lecun_* hold 1, he_* explode."""
    tanh = {name: propagate(name, "tanh") for name in ("glorot_normal", "glorot_uniform", "random_normal")}
    for name in ("glorot_normal", "glorot_uniform"):
        assert min(*tanh[name].forward, *tanh[name].backward) > 1e-3
    assert tanh["random_normal"].forward[-1] < 1e-8 and tanh["random_normal"].backward[0] < 1e-8
    for name in ("lecun_normal", "lecun_uniform"):
        assert propagate(name, "selu").forward == pytest.approx(np.ones(50), rel=0.5)
    exploding = propagate("he_normal", "selu")
    assert exploding.forward[-1] > 500 and exploding.backward[0] > 500


def test_lines_are_the_signals_and_each_has_its_name() -> None:
    figure = pictures.variance(["he_normal", "random_normal"], "relu", depth=7, width=20, seed=4)
    for axes, part in zip(figure.get_axes(), ("forward", "backward"), strict=True):
        for line in axes.get_lines():
            signal = propagate(line.get_label(), "relu", depth=7, width=20, seed=4)
            assert line.get_xdata().tolist() == list(range(1, 8))
            assert np.array_equal(line.get_ydata(), getattr(signal, part))
        assert {text.get_text(): text.get_color() for text in axes.texts} == {
            line.get_label(): line.get_color() for line in axes.get_lines()
        }
        assert axes.get_yscale() == "log"
    forward, backward = figure.get_axes()
    assert forward.get_xlim() == (1, 7) and backward.get_xlim() == (7, 1)


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("relu", "ReLU, 50 layers: he_* keep the signal"),
        ("tanh", "tanh, 50 layers: he_*, glorot_* and lecun_* keep the signal"),
        ("selu", "SELU, 50 layers: glorot_*, lecun_* and random_normal keep the signal"),
    ],
)
def test_what_the_titles_say(activation: str, message: str) -> None:
    figure = pictures.variance(activation=activation)
    [part] = figure.subfigs[0].subfigs
    assert part.get_suptitle() == message


def test_titles_follow_the_data() -> None:
    """Not the names: the same names with signals that vanish, or explode backward alone."""
    from gpuinit.pictures import canvas

    level, falling = np.ones(5), np.geomspace(1, 1e-6, 5)
    for forward, backward, message in (
        (level, level, "a keeps the signal"),
        (falling, level, "the signal is lost or explodes"),
        (level, 1 / falling[::-1], "the signal is lost or explodes"),
        (level * 0, level * 0, "the signal is lost or explodes"),
        (np.array([1, 1e200, np.inf, np.inf, np.nan]), level, "the signal is lost or explodes"),
    ):
        with canvas.style():
            figure = canvas.blank(3)
            depths.draw(figure, {"a": Signal(forward, backward, 8)}, "x")
        assert figure.get_suptitle() == f"x: {message}"
    kept, lost = Signal(level, level, 8), Signal(falling, level, 8)
    with canvas.style():
        figure = canvas.blank(3)
        depths.draw(figure, {"he_normal": lost, "he_uniform": kept, "lecun_normal": kept, "lecun_uniform": kept}, "x")
    assert figure.get_suptitle() == "x: he_uniform and lecun_* keep the signal"


def test_labels_do_not_lie_on_each_other() -> None:
    """Seven equal lines of seven names."""
    from gpuinit.pictures import canvas

    signals = {f"line {n}": Signal(np.ones(5), np.ones(5), 8) for n in range(7)}
    with canvas.style():
        figure = canvas.blank(3.8)
        depths.draw(figure, signals, "x")
    for axes in figure.get_axes():
        heights = sorted(text.get_position()[1] for text in axes.texts)
        assert len(heights) == 7 and np.diff(heights).min() >= 0.07 - 1e-9 and abs(np.mean(heights) - 0.5) < 0.01


def test_overflow_is_no_warning() -> None:
    signal = propagate(gpuinit.RandomNormal(stddev=1e30), "relu", depth=40, width=8)
    assert not np.isfinite(signal.forward[-1]) and np.isfinite(signal.forward[0])


def test_a_pictures_initializer_alone() -> None:
    """Through each activation in turn, whatever its own seed."""
    figure = pictures.page(gpuinit.HeNormal(seed=77), (4, 4), kinds=["variance"])
    lines = {line.get_label(): line.get_ydata() for line in figure.get_axes()[0].get_lines()}
    assert set(lines) == set(NAMES.values())
    assert np.array_equal(lines["ReLU"], propagate("he_normal", "relu").forward)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: propagate("he_normal", "gelu"), "activation='gelu'"),
        (lambda: propagate("he_normal", width=0), "width=0: it must be an integer >= 1"),
        (lambda: propagate("he_normal", inputs=-1), "inputs=-1: it must be an integer >= 1"),
        (lambda: propagate("stft"), "STFT needs 3"),
        (lambda: propagate("no_such"), "no_such"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
