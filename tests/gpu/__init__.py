"""Tests that need a GPU, by `pytest -m gpu tests/gpu`; CONTRIBUTING.md says how they are rehearsed without one."""
