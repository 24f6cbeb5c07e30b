"""What a sweep is: its space, how it searches, and what every trial has in common."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from recsys.config.composition import CONF, compose
from recsys.config.settings import Settings
from recsys.errors import ConfigError, closest
from recsys.runs.folder import RunFolder
from recsys.stored_files import readable
from recsys.tuning.space import Space, current_values, read_space

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "hyperband", "none")
_FILE_KEYS = {"overrides", "space", "sampler", "pruner", "trials"}


@dataclass(frozen=True)
class SweepSettings:
    """What has to stay the same for a sweep to go on, in this process or on another machine.

    Attributes:
        sweep: name or file of the space.
        overrides: of every trial, in the grammar of command lines.
        space: plain, as written.
        sampler: tpe, random or grid.
        pruner: median, hyperband or none.
    """

    sweep: str
    overrides: tuple[str, ...]
    space: Mapping[str, Any]
    sampler: str = "tpe"
    pruner: str = "median"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("sampler", self.sampler, SAMPLERS),
            ("pruner", self.pruner, PRUNERS),
        ):
            if value not in known:
                raise ConfigError(f"{name}={value} does not exist; {closest(str(value), known)}")

    def read_space(self) -> Space:
        """The space, checked."""
        return read_space(self.space, f"sweep={self.sweep}")

    def base(self) -> Settings:
        """What every trial changes; checked against the space.

        Raises:
            ConfigError: it does not compose, or lacks a setting of the space.
        """
        settings = compose(self.overrides)
        current_values(self.read_space(), settings.plain)
        return settings

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self) | {"overrides": list(self.overrides)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SweepSettings":
        """What `to_json` gave."""
        return cls(**{**values, "overrides": tuple(values["overrides"])})


def read_settings(
    sweep: str, overrides: list[str], sampler: str | None, pruner: str | None
) -> tuple[SweepSettings, int | None]:
    """Settings from conf/sweep/NAME.yaml, or a file of one's own, and the command line.

    Args:
        sweep: name, or path that ends in .yaml.
        overrides: of every trial; they go before those of the file.
        sampler, pruner: instead of those of the file.

    Returns:
        The settings, and the trials that the file asks for.

    Raises:
        ConfigError: there is no such file, or it holds what is no sweep.
    """
    file = Path(sweep) if sweep.endswith((".yaml", ".yml")) else CONF / "sweep" / f"{sweep}.yaml"
    if not file.is_file():
        names = [each.stem for each in (CONF / "sweep").glob("*.yaml")]
        raise ConfigError(
            f"sweep={sweep} does not exist; {closest(sweep, names)}, or the path of a .yaml file"
        )
    with readable(file, "write it as the files in conf/sweep"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not content:
        raise ConfigError(f"{file} is empty: write it as the files in conf/sweep")
    if not isinstance(content, dict) or not set(content) <= _FILE_KEYS:
        strange = sorted(set(content) - _FILE_KEYS) if isinstance(content, dict) else [content]
        raise ConfigError(
            f"{file}: {', '.join(map(str, strange))} is not a setting of a sweep;"
            f" {closest(str(strange[0]), sorted(_FILE_KEYS))}"
        )
    if not isinstance(fixed := content.get("overrides") or [], list):
        raise ConfigError(f"{file}: overrides={fixed!r}: it has to be a list, such as [model=gmf]")
    given = {override.partition("=")[0] for override in overrides}
    # an experiment brings a model of its own
    own = [
        override
        for override in map(str, fixed)
        if override.partition("=")[0] not in given and "experiment" not in given
    ]
    settings = SweepSettings(
        sweep, (*own, *overrides), content.get("space") or {}, content.get("sampler", "tpe")
    )
    settings = replace(
        settings,
        sampler=sampler or settings.sampler,
        pruner=pruner or content.get("pruner", "median"),
    )
    settings.read_space()
    return settings, content.get("trials")


def write_settings(folder: Path, settings: SweepSettings, more: Mapping[str, object]) -> None:
    """Writes sweep.json."""
    RunFolder(folder).write_json("sweep.json", {"settings": settings.to_json(), **more})


def read_written(folder: Path) -> tuple[SweepSettings, dict[str, Any]]:
    """Reads sweep.json.

    Raises:
        ConfigError: the folder holds no sweep.
    """
    found = RunFolder(folder).read_json("sweep.json")
    if found is None:
        raise ConfigError(
            f"{folder} holds no sweep: it has no sweep.json; recsys sweep prints its folder"
        )
    with readable(folder / "sweep.json"):
        return SweepSettings.from_json(found.pop("settings")), found
