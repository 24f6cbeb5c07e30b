"""Recommenders: pure nn.Modules, one file a model, learned or closed-form."""
