"""Parts of a model that is made of other models: each is composed as if it were trained alone."""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from recsys.errors import ConfigError, closest

# what a part has of its own; everything else is the run's
SECTIONS = ("model", "loss", "train", "optimizer", "schedule")
# what the one part of a model of two stages is called
FIRST = "first"
# of these another file may be chosen by its name
_CHOSEN = ("loss", "optimizer", "schedule")


def with_parts(plain: Mapping[str, Any], overrides: Sequence[str], conf: Path) -> dict[str, Any]:
    """A composed configuration in which parts that were named are there, with all their settings.

    Args:
        plain: has `model.parts`, names such as "content" or "content@tags" (the model content,
            called tags), or `model.first`, one name, and `parts`, what was set for each of them.
        overrides: as typed; what they say of training holds for every part.
        conf: folder of configuration files.

    Returns:
        The configuration with `model.parts`, name to the target of the part, or `model.first`, a
        target, and `parts`, name to its model by name and, of those that are trained, loss, train,
        optimizer and schedule.

    Raises:
        ConfigError: a part that does not exist or is named twice, or a setting that it lacks.
    """
    model, own = plain.get("model"), plain.get("parts") or {}
    content = {key: value for key, value in plain.items() if key != "parts"}
    key = next((each for each in ("parts", FIRST) if _has(model, each)), None)
    named = model[key] if isinstance(model, Mapping) and key else None
    if named is None:
        if own:
            chosen = (plain.get("choices") or {}).get("model")
            raise ConfigError(
                f"parts.{next(iter(own))} has no effect: model={chosen} has no parts; choose"
                f" model=blend model.parts=[{','.join(map(str, own))}]"
            )
        return content
    if isinstance(named, Mapping):  # of a run that was composed before
        return dict(plain)
    models = _names(named) if key == "parts" else {FIRST: _one(named)}
    if not isinstance(own, Mapping):
        raise ConfigError(f"parts={own!r}: set single keys of it, such as parts.NAME.model.KEY")
    if strange := [name for name in own if name not in models]:
        raise ConfigError(
            f"parts.{strange[0]} has no effect: "
            + (
                f"model.parts names {', '.join(models)}"
                if key == "parts"
                else f"the first stage is called {FIRST}, as in parts.{FIRST}.model.KEY"
            )
        )
    # two stages are trained apart, so what is typed is of the second
    typed = [each for each in overrides if _says_training(each) and key == "parts"]
    targets, trainings = {}, {}
    for name, its in models.items():
        monitor = (plain.get("train") or {}).get("monitor")
        part = f"model.{key}: {its}"
        overrides_of_part = [f"train.monitor={monitor}", *typed]
        found = _composed(name, its, own.get(name) or {}, overrides_of_part, conf, part)
        targets[name] = found["model"] | {"_partial_": True}
        trained = {key: found[key] for key in SECTIONS[1:]} if found["loss"] else {}
        trainings[name] = {"model": its, **trained}
    built: Any = targets if key == "parts" else targets[FIRST]
    return content | {"model": dict(model or {}) | {str(key): built}, "parts": trainings}


def _has(model: Any, key: str) -> bool:
    return isinstance(model, Mapping) and model.get(key) is not None


def _one(named: Any) -> str:
    """The model that is the first stage."""
    if not isinstance(named, str):
        raise ConfigError(f"model.first={named!r}: it has to be the name of a model: item_knn")
    return named


def _names(named: Any) -> dict[str, str]:
    """Name of every part to its model."""
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise ConfigError(f"model.parts={named!r}: it has to be a list of models: [ease, content]")
    models: dict[str, str] = {}
    for each in named:
        model, _, name = each.partition("@")
        name = name or model
        if not re.fullmatch(r"\w+", name):
            raise ConfigError(
                f"model.parts: {each!r} is no part; write MODEL, or MODEL@NAME with letters and"
                " digits"
            )
        if name in models:
            raise ConfigError(
                f"model.parts names {name} twice: give one of them a name of its own, as in"
                f" {models[name]}@second, and other settings, parts.second.model.KEY"
            )
        models[name] = model
    return models


def _says_training(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key.partition(".")[0] in ("train", "optimizer", "schedule")


def _composed(
    name: str, model: str, own: Any, typed: Sequence[str], conf: Path, part: str
) -> dict[str, Any]:
    """The sections of one part, plain; errors call it `part`."""
    if not isinstance(own, Mapping):
        raise ConfigError(f"parts.{name}={own}: set single keys of it, as parts.{name}.model.KEY")
    if strange := [key for key in own if key not in SECTIONS]:
        raise ConfigError(
            f"parts.{name}.{strange[0]} is not a setting;"
            f" {closest(str(strange[0]), list(SECTIONS))}"
        )
    known = [file.stem for file in (conf / "model").glob("*.yaml")]
    sources = HydraConfig.get().runtime.config_sources
    searched = [
        source.path for source in sources if source.schema == "file" and source.provider != "main"
    ]
    known += [file.stem for each in searched for file in (Path(each) / "model").glob("*.yaml")]
    if model not in known:
        raise ConfigError(f"{part} does not exist; {closest(model, known)}")
    chosen = [
        f"{key}={value}" for key, value in own.items() if key in _CHOSEN and isinstance(value, str)
    ]
    paths = ",".join(f'"file://{path}"' for path in searched)
    # a process of a launcher has none
    with (
        nullcontext()
        if GlobalHydra.instance().is_initialized()
        else hydra.initialize_config_dir(str(conf.absolute()), version_base="1.3")
    ):
        config = hydra.compose(
            "config", [f"model={model}", *typed, *chosen, f"hydra.searchpath=[{paths}]"]
        )
    for section, values in own.items():
        if section not in _CHOSEN or not isinstance(values, str):
            _merge(config, name, section, values)
    plain: Any = {
        section: OmegaConf.to_container(node, resolve=True)
        if isinstance(node := config.get(section), DictConfig)
        else None
        for section in SECTIONS
    }
    if "parts" in plain["model"]:
        raise ConfigError(f"{part} has parts itself; name these instead")
    if FIRST in plain["model"]:
        raise ConfigError(f"{part} has a first stage itself; name another model")
    return dict(plain)


def _merge(config: DictConfig, name: str, section: str, values: Any) -> None:
    """Puts what was set for a part over what its files say."""
    if values is None and section in _CHOSEN:
        config[section] = None
        return
    if not isinstance(values, Mapping):
        raise ConfigError(f"parts.{name}.{section}={values}: set single keys of it")
    if config.get(section) is None:
        raise ConfigError(f"parts.{name}.{section} has no effect: this part has no {section}")
    for key, value in values.items():
        try:
            if key not in config[section]:
                known = [str(each) for each in config[section] if str(each)[0] != "_"]
                raise ConfigError(
                    f"parts.{name}.{section}.{key} is not a setting; {closest(str(key), known)}"
                )
            OmegaConf.update(config, f"{section}.{key}", value, merge=True)
        except (ConfigKeyError, OmegaConfBaseException) as error:
            text = " ".join(str(error).split()).partition(" full_key:")[0]
            raise ConfigError(f"parts.{name}.{section}.{key}={value}: {text}") from error
