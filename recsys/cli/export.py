"""`recsys export run=RUN_FOLDER name=BUNDLE`: writes the bundle of a finished run."""

import sys
from dataclasses import dataclass
from pathlib import Path

from recsys.arguments import parse_arguments, setting
from recsys.config.targets import allow
from recsys.errors import ConfigError, UserError
from recsys.tasks.lifecycle import export_run


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Writes exported/NAME: one ONNX graph from strings to strings, proven equal to torch."""

    run: Path = setting("folder that recsys train printed")
    name: str = setting("name of the bundle")
    folder: Path = setting("where bundles go", default=Path("exported"))
    seen: bool = setting("put what each user bought into the bundle (personal data)", default=False)
    because: bool = setting(
        "put a second graph into the bundle that tells which purchases carry a recommendation",
        default=False,
    )
    allow: str = setting("package of your own that the run's model comes from", default="")


def export_command(arguments: list[str], program: str) -> int:
    """Exports; returns the exit code."""
    try:
        given = parse_arguments(ExportArguments, arguments, program)
        if Path(given.name).name != given.name:
            raise ConfigError(
                f"name={given.name!r} is a path; give a plain name, and folder= for the place"
            )
        allow([name.strip() for name in given.allow.strip("[]").split(",") if name.strip()])
        print(export_run(given.run, given.folder / given.name, given.seen, given.because))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
