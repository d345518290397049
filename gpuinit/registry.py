"""Initializers by name, and their way to JSON and back.

A config names a class; it is looked up in `custom_objects`, then among the built-in ones. Nothing is imported or
evaluated.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from gpuinit.initializers import base, constant, convolution, orthogonal, random, sparse, stft, variance_scaling
from gpuinit.initializers.quantile import QuantileInitializer, registered
from gpuinit.key import CONTRACT, check_contract

__all__ = ["deserialize", "find", "get", "names", "serialize"]

_MODULES = (constant, convolution, orthogonal, random, sparse, stft, variance_scaling)
_CLASSES = {
    "Initializer": base.Initializer,
    **{name: getattr(module, name) for module in _MODULES for name in module.__all__},
}
_ALIASES = {
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
    "normal": "RandomNormal",
    "uniform": "RandomUniform",
    "one": "Ones",
    "zero": "Zeros",
    # beyond Keras' names: PyTorch's
    "xavier_normal": "GlorotNormal",
    "xavier_uniform": "GlorotUniform",
    "kaiming_normal": "HeNormal",
    "kaiming_uniform": "HeUniform",
}


_GALLERY = ("cauchy", "exponential", "gumbel", "laplace", "log_normal", "logistic", "random_sign")
"""The names in gpuinit/gallery.py, which is loaded when one of them is asked for."""


def _snake_case(name: str) -> str:
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


_BY_NAME = {
    **_CLASSES,
    **{_snake_case(name): kind for name, kind in _CLASSES.items()},
    **{alias: _CLASSES[name] for alias, name in _ALIASES.items()},
}


def names() -> list[str]:
    """The snake_case names of the built-in initializers and of the gallery's, sorted; no base class, and no aliases."""
    return sorted([*(_snake_case(name) for name, kind in _CLASSES.items() if kind is not base.Initializer), *_GALLERY])


def find(name: str) -> type[base.Initializer] | None:
    """The class, built-in or of the gallery, that `get` knows by a name, or None."""
    return _BY_NAME.get(name) or _of_gallery(name)


class _Array(constant.Constant):
    """What `get` makes of an array: that array in any dtype, at its own shape alone. Serialized as a Constant."""

    def distribution(self, shape: tuple[int, ...]) -> Any:
        if shape != np.shape(self.value):
            raise ValueError(
                f"shape={shape}: the initializer is an array of shape {np.shape(self.value)}, which must be asked for"
            )
        return super().distribution(shape)


def get(identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `identifier` means.

    Args:
        identifier: None (gives None); a name, case-sensitive: a class's, its snake_case, or an alias (normal, uniform,
            one, zero, xavier_normal, xavier_uniform, kaiming_normal, kaiming_uniform, IdentityInitializer,
            OrthogonalInitializer, STFTInitializer); one of `gpuinit.gallery`; what `gpuinit.quantile` registered,
            "package>name"; a dict of `serialize`; an array, NumPy scalar or tensor; a class;
            an instance or any callable.
        custom_objects: classes or functions by name, looked up before the built-in ones.

    Returns:
        An initializer: for an array one that casts it to the dtype and raises ValueError at another shape, for a class
        an instance, for an instance or a callable itself.

    Raises:
        ValueError: nothing is known by that identifier. TypeError: a dict holds a wrong argument, or the class needs one, as
            Sparse does.
    """
    if identifier is None or isinstance(identifier, (str, dict)):
        return deserialize(identifier, custom_objects)
    if isinstance(identifier, (np.ndarray, np.generic)) or (hasattr(identifier, "__array__") and not callable(identifier)):
        return _Array(identifier)
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier):
        return identifier
    raise _unknown(identifier)


def serialize(initializer: Any) -> Any:
    """The initializer as a dict that JSON can hold; None and a name stay as they are.

    Returns:
        {"module", "class_name", "config", "registered_name", "contract": 1}; registered_name is None for built-in
        classes, "package>name" for those of `gpuinit.quantile`, and the name to give in `custom_objects` for others.

    Raises:
        TypeError: it is a class, or neither an initializer (it has no get_config) nor a function with a name.
    """
    if initializer is None or isinstance(initializer, str):
        return initializer
    kind = constant.Constant if type(initializer) is _Array else type(initializer)
    if isinstance(initializer, FunctionType) and initializer.__name__ != "<lambda>":
        name = initializer.__name__
        return _serialized("builtins", "function", name, name)
    if inspect.isclass(initializer) or not hasattr(initializer, "get_config"):
        raise TypeError(f"serialize: {initializer!r} is not an initializer's instance, a function with a name, a string or None")
    if _CLASSES.get(kind.__name__) is kind:
        return _serialized("gpuinit.initializers", kind.__name__, initializer.get_config(), None)
    name = initializer.registered_name if isinstance(initializer, QuantileInitializer) else kind.__name__
    return _serialized(kind.__module__, kind.__name__, initializer.get_config(), name)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` was given, from its dict (JSON's or Keras' too) or a name; None gives None.

    Args:
        config: a dict with "class_name" and usually "config", or a name that `get` knows.
        custom_objects: classes or functions by name, looked up before the built-in ones.

    Returns:
        A new initializer, or the function of `custom_objects` that is meant. An Identity that Keras wrote has placement
        "corner".

    Raises:
        ValueError: the name is not known, the dict has none, or another contract wrote it. TypeError: a wrong argument
            in "config".
    """
    if config is None:
        return None
    if isinstance(config, str):
        config = {"class_name": config}
        identifier = config["class_name"]
    elif isinstance(config, dict):
        identifier = config
    else:
        raise _unknown(config)
    check_contract(config)
    name, arguments = config.get("class_name"), config.get("config")
    if name == "function":
        name, arguments = arguments, None
    kind = _find(config, name, custom_objects or {})
    if kind is None:
        raise _unknown(identifier)
    if not inspect.isclass(kind):
        return kind
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise TypeError(f"config={arguments!r} of {name} is a {type(arguments).__name__}: it must be a dict of its arguments")
    if kind is constant.Identity and _root(config) in ("keras", "tf_keras"):
        arguments = {"placement": "corner", **arguments}
    make: Callable[[dict[str, Any]], Any] = getattr(kind, "from_config", lambda given: kind(**given))
    try:
        return make(dict(arguments))
    except TypeError as error:
        raise TypeError(f"{name} could not be made from config={arguments!r}: {error}") from error


def _find(config: dict[str, Any], name: Any, custom_objects: Mapping[str, Any]) -> Any:
    """The class or function that a config names, or None."""
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom_objects:
            return custom_objects[key]
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and ">" in key:
            return registered(key) or (_of_gallery(key.removeprefix("gpuinit>")) if key.startswith("gpuinit>") else None)
    if not isinstance(name, str) or _root(config) not in ("", "gpuinit", "keras", "tf_keras"):
        return None  # a user's class, though it may be called as a built-in one
    return find(name)


def _of_gallery(name: str) -> type[QuantileInitializer] | None:
    if name not in _GALLERY:
        return None
    found: type[QuantileInitializer] = getattr(importlib.import_module("gpuinit.gallery"), name)
    return found


def _root(config: dict[str, Any]) -> str:
    return str(config.get("module") or "").partition(".")[0]


def _serialized(module: str, class_name: str, config: Any, registered_name: str | None) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
        "contract": CONTRACT,
    }


def _unknown(identifier: Any) -> ValueError:
    name = identifier.get("registered_name") if isinstance(identifier, dict) else identifier
    missing = ""
    if isinstance(name, str) and ">" in name:
        module = identifier.get("module") if isinstance(identifier, dict) else None
        where = f" ({module})" if isinstance(module, str) else ""
        missing = f"{name!r} is not registered: import the module that defines it with gpuinit.quantile{where} first.\n"
    return ValueError(
        f"Could not interpret initializer identifier: {identifier}\n{missing}"
        f"Known are {', '.join(sorted(_CLASSES))}, their snake_case, {', '.join(_GALLERY)}, and {', '.join(_ALIASES)}; "
        "others are looked up in custom_objects."
    )
