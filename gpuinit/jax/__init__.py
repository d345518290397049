"""gpuinit in JAX."""
