"""Errors that a user reads: one sentence of what was found, where, and what to do."""


class UserError(ValueError):
    """Base of every error of the input, not of the code; commands print it without a traceback."""


class ConfigError(UserError):
    """A setting, group or command-line argument that does not exist or does not fit the others."""


class DataError(UserError):
    """A table that is missing, lacks a column, or holds what cannot be used."""


class TrainingError(UserError):
    """The loss became NaN or infinite, or a run cannot be resumed."""


class ExportError(UserError):
    """The export failed: the model has no ONNX graph, or ONNX and PyTorch differ."""


class BundleError(UserError):
    """A bundle that is incomplete, altered, or needs a newer recsys, or lacks what a call needs."""
