"""Losses, one a file: a pure function of tensors, and its settings, which make a training objective."""
