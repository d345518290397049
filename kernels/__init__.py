"""The arithmetic of the stream, and the kernels compiled from it."""
