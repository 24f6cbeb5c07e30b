"""Recommenders, one a file, learned or closed-form."""
