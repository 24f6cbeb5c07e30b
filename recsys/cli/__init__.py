"""Commands: one a file, each from arguments to an exit code."""
