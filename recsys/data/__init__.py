"""Tables in, indexed tensors out: read, check, clean, split, index, batch."""
