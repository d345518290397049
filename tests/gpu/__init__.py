"""Tests that need a GPU, by `pytest -m gpu tests/gpu`; with GPUINIT_REHEARSE=1 they run without one, see rehearsal.py."""
