"""Metrics: pure functions on hits, and accumulators that sum them over blocks and processes."""
