"""From a command line to typed settings."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from recsys.config.completion import complete_files
from recsys.config.multirun import (
    begin_again,
    cut_short,
    fail,
    failures,
    require_launcher,
    threads_of_a_run,
)
from recsys.config.parts import with_parts
from recsys.config.settings import Settings
from recsys.config.targets import Target, allow
from recsys.environment import limit_threads, threads_of_all
from recsys.errors import ConfigError, UserError, closest
from recsys.stored_files import remove_empty

_PACKAGE = Path(__file__).parents[1]
# beside the package in a checkout, inside it in a wheel
CONF = next(
    folder
    for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf")
    if (folder / "config.yaml").exists()
)
# groups of files, of which one is chosen by its name
_GROUPS = tuple(sorted(folder.name for folder in CONF.iterdir() if folder.is_dir()))
# groups of which several may be chosen at once
_SEVERAL = ("logger", "callbacks")

ONE_SEASON = (
    "set data.seasonality, the one season of models, baselines, losses and the scales of metrics"
)
# keys that are looked for, though another one decides
MOVED = {"evaluation.seasonality": ONE_SEASON, "model.season_length": ONE_SEASON}


class Multirun(Callback):
    """Remembers, in the process that was called, the folder of a multirun; its runs may be in other
    processes, or on other machines.
    """

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called before the first run."""
        Multirun.folder = Path(config.hydra.sweep.dir).absolute()


def command_line(
    arguments: list[str],
    run: Callable[[Settings, Path], Path],
    runs_again: Mapping[str, Callable[[str, list[str]], Path]],
) -> None:
    """Composes and runs, once or (-m) many times; an error is one sentence and exit code 2. A
    failed run does not stop a multirun; it is named when it fails and at the end.

    Args:
        arguments: overrides in Hydra's grammar, or KEY=FOLDER with a key of `runs_again`.
        run: trains in a folder and returns it; it is printed.
        runs_again: functions that continue or repeat a run, by key: from its folder and the other
            arguments to the folder written.
    """
    again = [argument for argument in arguments if argument.partition("=")[0] in runs_again]
    key, _, folder = again[0].partition("=") if again else ("", "", "RUN_FOLDER")
    # so that errors reach us and not a traceback printer
    os.environ["HYDRA_FULL_ERROR"] = "1"
    Multirun.folder = None
    choices, threads = _choices(arguments), threads_of_all()
    typed = list(sys.argv)

    def job(config: DictConfig) -> None:
        nonlocal folder
        sys.argv[:] = typed  # which Lightning starts the other processes of a training with
        hydra_config = HydraConfig.get()
        folder = hydra_config.runtime.output_dir
        many = hydra_config.mode == RunMode.MULTIRUN
        chosen = [each for each in _overrides() if each.partition("=")[0] in choices]
        if many:
            begin_again(Path(folder))
            limit_threads(threads_of_a_run(hydra_config.launcher, threads))
        try:
            print(run(_settings(config), Path(folder)))
        except Exception as error:
            remove_empty(Path(folder))  # Hydra makes it before the settings are checked
            # Hydra would first repeat the whole command line, with whatever password stands in it
            if many:
                _name_failure(error, Path(folder), chosen)
            elif isinstance(error, explained()):
                _leave(explain(error))
            else:
                raise

    try:
        arguments = _prepared(arguments)
        if again:
            others = [argument for argument in arguments if argument != again[0]]
            print(runs_again[key](folder, others))
        else:
            require_launcher(arguments)
            sys.argv[1:] = arguments
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
            if Multirun.folder is not None and (failed := failures(Multirun.folder)):
                _leave(failed)
    except explained() as error:
        _leave(explain(error))
    except KeyboardInterrupt as stop:
        # a run that began in another folder than the one named says in which
        folder = stop.args[0] if stop.args else folder
        begun = (Path(folder) / "config.yaml").exists()
        _leave(
            f"interrupted; continue where it was with train.resume={folder}"
            if begun
            else "interrupted before the training began",
            130,
        )
    except Exception as error:
        _leave(_unexpected(error, has_begun=folder != "RUN_FOLDER"))


def _unexpected(error: Exception, *, has_begun: bool) -> str:
    """A sentence for what Hydra and its launchers meet outside of a run; raises any other error."""
    if isinstance(error, OSError) and error.filename and not has_begun:  # they make its folder
        return f"{error.filename} cannot be written ({error.strerror}): choose another folder"
    if Multirun.folder is None:
        raise error
    # of a launcher, one of whose processes has gone
    text = " ".join(str(error).split()).partition(". ")[0][:300]
    return f"{type(error).__name__}: {text}; {cut_short(Multirun.folder)}"


def _name_failure(error: Exception, folder: Path, chosen: Sequence[str]) -> None:
    """Says which of many runs has failed, and why."""
    if isinstance(error, explained()):
        reason = explain(error)
    else:
        traceback.print_exception(error)
        reason = f"{type(error).__name__}: {error}"
    print(f"error: {fail(folder, chosen, reason)}", file=sys.stderr, flush=True)


def _choices(arguments: Sequence[str]) -> set[str]:
    """Keys that a multirun gives several values."""
    try:
        overrides = OverridesParser.create().parse_overrides(
            [argument for argument in arguments if "=" in argument]
        )
    except HydraException:
        return set()  # Hydra will say it
    return {each.get_key_element() for each in overrides if each.is_sweep_override()}


def explained() -> tuple[type[Exception], ...]:
    """Errors that a sentence explains; any other is the code's fault and shows where."""
    return UserError, HydraException, OmegaConfBaseException, *_misconfiguration()


def _misconfiguration() -> tuple[type[Exception], ...]:
    """Lightning's error where Lightning is loaded: a model that is fitted at once never waits for
    it.
    """
    module = sys.modules.get("pytorch_lightning.utilities.exceptions")
    return () if module is None else (module.MisconfigurationException,)


def _leave(sentence: str, code: int = 2) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(code)


def compose(overrides: Sequence[str], config_dir: str | None = None) -> Settings:
    """The settings that a command line of these overrides would run.

    Args:
        overrides: in Hydra's grammar.
        config_dir: a folder with further groups and experiments, as --config-dir names it.

    Raises:
        ConfigError: an override names what does not exist, or a value does not fit.
    """
    searched = (
        [] if config_dir is None else [f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
    )
    overrides = _prepared([*overrides, *searched])
    with hydra.initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        try:
            config = hydra.compose("config", overrides, return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            return _settings(config)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(explain(error)) from error


def model_targets() -> dict[str, Target]:
    """Every model that comes with the project, by name, with the settings of its file."""
    found = {}
    for file in sorted((CONF / "model").glob("*.yaml")):
        plain = yaml.safe_load(file.read_text(encoding="utf-8"))
        if "_target_" in plain and "defaults" not in plain:
            found[file.stem] = Target.from_plain("model", plain)
    return found


def _prepared(arguments: Sequence[str]) -> list[str]:
    """Allows the packages that an argument allow=[…] names, before any file is completed."""
    complete_files()
    for argument in arguments:
        if argument.startswith("allow="):
            names = argument.removeprefix("allow=").strip("[] ").split(",")
            allow([name.strip(" '\"") for name in names if name.strip(" '\"")])
        _require_choice(argument)
    own = _own_columns(arguments)
    return [
        # of a part no file knows the settings before it is composed
        f"++{argument}"
        if argument.partition("=")[0] in own or argument.startswith("parts.")
        else argument
        for argument in arguments
    ]


def _own_columns(arguments: Sequence[str]) -> set[str]:
    """data.columns.NAME of the columns that series are made of, or that are known ahead: a table
    may have any, and its file of configuration knows none of them.
    """
    names: set[str] = set()
    for argument in arguments:
        if argument.lstrip("+").startswith(("data.series=", "data.covariates=")):
            with suppress(HydraException):  # Hydra will say it
                value = OverridesParser.create().parse_override(argument).value()
                names |= set(map(str, value)) if isinstance(value, list) else {str(value)}
    return {f"data.columns.{name}" for name in names}


def _require_choice(argument: str) -> None:
    """Refuses GROUP=VALUE where the value is no name; Hydra would raise a ValueError."""
    if argument == "~model":  # the loss is looked up by it
        raise ConfigError("model is missing, and no run is without: leave ~model out")
    if argument.lstrip("+~").startswith("="):
        raise ConfigError(f"{argument}: the key before = is missing; write key=value")
    group, _, text = argument.lstrip("+").partition("=")
    if group == "train" and text in ("null", ""):
        raise ConfigError(f"{argument}: set single keys of it, such as train.lr=0.01")
    if group not in _GROUPS:
        return
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return  # Hydra will say it
    value = None if text == "" else override.value()
    names = value if isinstance(value, list) and group in _SEVERAL else [value]
    if not override.is_sweep_override() and not all(isinstance(name, str) for name in names):
        known = [file.stem for file in (CONF / group).glob("*.yaml")]
        one = {"data": "data source", "loss": "loss"}.get(group, group.removesuffix("s"))
        listed = isinstance(value, list) and group not in _SEVERAL
        many = f" is a list, and a run has one {one}" if listed else ""
        raise ConfigError(
            f"{argument}{many}: choose {'an' if group[0] in 'aeiou' else 'a'} {one}; it is one of:"
            f" {', '.join(sorted(known))}"
        )


def _settings(config: DictConfig) -> Settings:
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    if isinstance(plain.get("choices"), dict):
        plain["choices"]["overrides"] = _overrides()
        plain["choices"]["loss"] = _loss_name(plain.get("loss"))
    plain = with_parts(plain, _overrides(), CONF)
    return Settings.from_plain(plain)


def _loss_name(plain: Any) -> str | None:
    """The loss by its own name: loss=of/MODEL is only what was looked up.

    Raises:
        ConfigError: one was chosen that does not exist; Hydra leaves it out, as it may be missing.
    """
    if plain:
        return getattr(Target.from_plain("loss", plain).resolve(), "name", None)
    chosen = str(HydraConfig.get().runtime.choices.get("loss"))
    if not chosen.startswith("of/"):
        known = [file.stem for file in (CONF / "loss").glob("*.yaml")]
        raise ConfigError(f"loss={chosen} does not exist; {closest(chosen, known)}")
    return None


def _overrides() -> list[str]:
    """As they were typed: what is interpolated in one may not exist."""
    plain: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return list(plain)


def explain(error: Exception) -> str:
    """One sentence for an error of ours, Hydra, OmegaConf or Lightning, with the closest name that
    exists.
    """
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    if isinstance(error, _misconfiguration()):
        return f"trainer: {text}"
    if (
        isinstance(error, MissingConfigException)
        and error.options is not None
        and error.missing_cfg_file
    ):
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name} does not exist; {closest(name, error.options)}"
    cause = error.__cause__
    if (
        isinstance(error, ConfigCompositionException)
        and cause is not None
        and "is not in struct" in str(cause)
    ):
        key = str(getattr(cause, "full_key", "")) or str(error).partition("'")[2].partition("'")[0]
        if key == "loss":
            return (
                "loss.… has nothing to act on: no loss is chosen, and the model names none; choose"
                " loss=NAME, or leave loss.… out where the model is not trained"
            )
        if key in MOVED:
            return f"{key} is not a setting; {MOVED[key]}"
        section, _, name = key.rpartition(".")
        known = getattr(cause, "parent_node", None)
        further = f"; to rename a further column write +{key}=…" if ".columns." in key else ""
        return (
            f"{key} is not a setting;"
            f" {closest(name, [str(k) for k in known] if known is not None else [])}{further}"
        )
    if isinstance(error, OverrideParseException):
        text = text.partition(" See https://")[0]
        return (
            f"{text}; write key=value, and a value with spaces, brackets or other special"
            " characters needs quotes: 'data.path=\"data (1).csv\"'"
        )
    if isinstance(error, InterpolationKeyError | InterpolationResolutionError):
        return f"{error.full_key}: {text.partition(' full_key:')[0]}; write a value instead"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: set {error.full_key}=… on the command line"
    return text
