"""gpuinit in PyTorch."""
