"""Forecaster bundles: graph, parity with torch, samples, model card."""
