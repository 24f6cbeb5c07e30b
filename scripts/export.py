"""Exports the model of a run as a bundle: python scripts/export.py run=RUN_FOLDER name=BUNDLE."""

import sys
from dataclasses import dataclass
from pathlib import Path

from recsys.arguments import parse_arguments, setting
from recsys.errors import ConfigError, UserError
from recsys.tasks.lifecycle import export_run


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Writes exported/NAME: one ONNX graph from strings to strings, proven equal to torch."""

    run: Path = setting("folder that scripts/train.py printed")
    name: str = setting("name of the bundle")
    folder: Path = setting("where bundles go", default=Path("exported"))
    seen: bool = setting("put what each user bought into the bundle (personal data)", default=False)


def main() -> int:
    """Returns the exit code."""
    try:
        arguments = parse_arguments(ExportArguments, sys.argv[1:], "python scripts/export.py")
        if Path(arguments.name).name != arguments.name:
            raise ConfigError(
                f"name={arguments.name!r} is a path; give a plain name, and folder= for the place"
            )
        print(export_run(arguments.run, arguments.folder / arguments.name, arguments.seen))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
