"""Losses, one a file: a pure function of tensors, and its settings."""
