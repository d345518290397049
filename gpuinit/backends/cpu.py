"""The CPU backend (being written)."""
BACKEND = None
