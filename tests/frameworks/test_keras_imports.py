"""What `gpuinit.keras` loads: the active backend's module alone, and nothing of another framework's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("keras")

from keras_table import BACKEND

pytestmark = pytest.mark.frameworks

CODE = """
import sys
sys.modules.update(dict.fromkeys({others}))  # to import one of them is an error then
import keras
import gpuinit.keras
assert keras.backend.backend() == {backend!r}
layer = keras.layers.Dense(3, kernel_initializer=gpuinit.keras.HeNormal(seed=1))
layer.build((None, 4))
print(keras.ops.convert_to_numpy(layer.kernel.value).tobytes().hex())
print(*sorted(name for name in sys.modules if name.startswith("gpuinit.keras.on_")))
"""


def python(code: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "GPUINIT_DEVICE": "cpu", **environment},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_no_other_framework_is_needed() -> None:
    """As where only one is installed. Keras on NumPy itself needs JAX, for its image functions."""
    import gpuinit

    others = {"torch", "jax", "jaxlib", "tensorflow"} - {BACKEND}
    if BACKEND in ("jax", "numpy"):
        others -= {"jax", "jaxlib"}
    bits, loaded = python(CODE.format(others=others, backend=BACKEND)).splitlines()
    assert loaded == f"gpuinit.keras.on_{BACKEND}"
    assert bits == gpuinit.HeNormal(seed=1)((4, 3), device="cpu").tobytes().hex()


@pytest.mark.parametrize("module", ["registry", f"on_{BACKEND}"])
def test_modules_import_alone(module: str) -> None:
    python(f"import gpuinit.keras.{module}")


def test_core_stays_without_frameworks() -> None:
    assert python("import sys, gpuinit; print(*{'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules))") == ""


def test_unknown_backends_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    import gpuinit.keras as ours

    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(ValueError, match="Keras runs on openvino: gpuinit.keras makes tensors of jax, numpy, tensorflow, torch"):
        ours.Zeros()((2,))
