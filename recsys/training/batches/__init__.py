"""Batches, cut on the device from tensors that already lie there."""
