"""Whether the presets of variance scaling have the variance of their formula, in shapes that tell the fans apart."""

from __future__ import annotations

from collections.abc import Iterator

from gpuinit.battery.marginal import Values, values_of
from gpuinit.battery.subjects import FAN_SHAPES, PRESETS, preset
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["FANS"]


def _samples(trial: Trial) -> Iterator[tuple[str, Values]]:
    for name in PRESETS:
        subject = preset(name)
        for shape in FAN_SHAPES:
            sample = f"{name} {'x'.join(map(str, shape))}"
            made = trial.draw(subject.make(trial.key(sample), False), shape, "float32")
            yield sample, values_of(made, subject.law(shape), trial.generator(sample))


FANS = Suite(
    "fans",
    _samples,
    (
        Test(
            "variance of presets",
            "fan_out for fan_in, a forgotten receptive field, a forgotten 0.8796: a variance off by 6 per cent",
            lambda sample: sample.moment(2),
        ),
    ),
)
