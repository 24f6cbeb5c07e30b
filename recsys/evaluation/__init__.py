"""Judging models: the whole catalogue ranked in blocks, and published candidate lists."""
