"""`recsys COMMAND …`: every command of the project."""

import importlib
import sys
from collections.abc import Sequence

from recsys.arguments import reports_errors

# command to the module and function that run it, and what it does
COMMANDS = {
    "train": ("recsys.cli.train", "train_command", "train, judge and report a model"),
    "sweep": ("recsys.cli.sweep", "sweep_command", "search settings on the validation part"),
    "runs": ("recsys.cli.runs", "runs_command", "list runs and what they reached"),
    "compare": ("recsys.cli.compare", "compare_command", "compare runs with intervals and tests"),
    "export": ("recsys.cli.export", "export_command", "write the bundle of a run"),
    "recommend": (
        "recsys.inference.commands",
        "recommend_command",
        "recommend to users of a file",
    ),
    "forecast": ("recsys.inference.commands", "forecast_command", "forecast a table of series"),
    "add": ("recsys.inference.commands", "add_command", "put new items into a bundle"),
    "verify": (
        "recsys.inference.commands",
        "verify_command",
        "check a bundle, replay its samples",
    ),
}
# what `pip install .` leaves out, by the first package that is missed
_TRAINING = ("torch", "hydra", "omegaconf", "pandas", "yaml", "rich", "pyarrow", "optuna")


@reports_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    name, *others = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name not in COMMANDS:
        print(f"error: recsys {name} does not exist\n\n{_help()}", file=sys.stderr)
        return 2
    module, function, _ = COMMANDS[name]
    try:
        command = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _TRAINING:
            raise
        extra = "sweep" if error.name == "optuna" else "train"
        print(
            f"error: recsys {name} needs the package {error.name}, which is not installed: pip"
            f" install '.[{extra}]'",
            file=sys.stderr,
        )
        return 2
    code: int = command(others, f"recsys {name}")
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, _, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: recsys COMMAND [key=value …]",
            "",
            *lines,
            "",
            "recsys COMMAND --help says more",
        ]
    )
