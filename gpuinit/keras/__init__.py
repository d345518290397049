"""gpuinit in Keras."""
