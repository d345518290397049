"""Names such as "he_normal", and layers' defaults, given a meaning in Keras' registry of custom objects, and given it back."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import keras

from gpuinit.keras.names import NAMES

__all__ = ["Installation", "install", "uninstall"]

_LOCK = threading.Lock()
_count = 0
_before: dict[str, Any] = {}


class Installation:
    """What `install` returns: a context that calls `uninstall` when it is left, by an exception too."""

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        uninstall()


def install() -> Installation:
    """Let the snake_case names of Keras' initializers mean gpuinit's, in `Dense(kernel_initializer="he_normal")` and as defaults.

    Returns:
        A context: `with install(): ...` uninstalls at its end.

    It writes to `keras.saving.get_custom_objects()` alone. The classes' own names ("HeNormal") keep their meaning, so configs
    that Keras wrote load as Keras' classes. Installs are counted: after as many uninstalls the names mean Keras' initializers
    again, or what was registered under them before.
    """
    global _count
    registry = keras.saving.get_custom_objects()
    with _LOCK:
        if _count == 0:
            _before.clear()
            _before.update({name: registry[name] for name in NAMES if name in registry})
            registry.update(NAMES)
        _count += 1
    return Installation()


def uninstall() -> None:
    """Undo one `install`. A name that was registered anew since then is left as it is.

    Raises:
        RuntimeError: nothing is installed.
    """
    global _count
    registry = keras.saving.get_custom_objects()
    with _LOCK:
        if _count == 0:
            raise RuntimeError(
                "uninstall: gpuinit.keras is not installed; there was no install() before, or it is undone already"
            )
        _count -= 1
        if _count:
            return
        for name, kind in NAMES.items():
            if registry.get(name) is not kind:
                continue
            del registry[name]
            if name in _before:
                registry[name] = _before[name]
