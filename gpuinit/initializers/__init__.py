"""The initializers."""

from gpuinit.initializers.base import Initializer, RandomInitializer

__all__ = ["Initializer", "RandomInitializer"]
