"""Completes files of configuration: the defaults of what a `_target_` names become settings, so
that YAML holds only what differs from them.
"""

from collections.abc import Mapping
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from recsys.config.targets import defaults, resolve

# arguments that the framework supplies: no settings
SUPPLIED = {
    "model": {
        "num_users",
        "num_items",
        "num_categories",
        "num_series",
        "num_covariates",
        "horizon",
        "step",
        "season",
        "quantiles",
        "num_fields",
        "field_dim",
    },
    "optimizer": {"params"},
    "schedule": {"optimizer", "total_steps", "T_max", "epochs", "steps_per_epoch"},
}
# groups whose targets take long to import: any key is accepted here, and checked before training
OPEN = ("trainer", "logger", "callbacks")
_PLAIN = (type(None), bool, int, float, str)


class CompletingSource(FileConfigSource):
    """Reads YAML files as Hydra does and fills in the defaults of constructors."""

    def load_config(self, config_path: str) -> ConfigResult:
        """The content of a file, completed."""
        result: ConfigResult = super().load_config(config_path=config_path)
        group = config_path.partition("/")[0]
        if group in OPEN:
            result.config._set_flag("struct", False)
        elif group != "hydra" and isinstance(result.config, DictConfig):  # Hydra checks its own
            _complete(result.config, SUPPLIED.get(group, set()))
        return result


# Hydra tells sources apart by this name, and the processes of a launcher register theirs again
CompletingSource.__name__ = FileConfigSource.__name__


def complete_files() -> None:
    """Makes Hydra read files through `CompletingSource`, those of --config-dir too."""
    Plugins.instance()  # registers Hydra's own sources, which would come later otherwise
    SourcesRegistry.instance().types["file"] = CompletingSource


def _complete(node: DictConfig, supplied: set[str]) -> None:
    for key in map(str, node):
        if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
            continue  # the group that it points at is not there yet
        if isinstance(node[key], DictConfig):
            _complete(node[key], supplied)
        _open_if_empty(node, key)
    path = node.get("_target_")  # never an interpolation
    if not isinstance(path, str):
        return
    for name, value in defaults(resolve(path)).items():
        if name not in node and name not in supplied and _is_plain(value):
            node[name] = _as_yaml(value)
            _open_if_empty(node, name)


def _open_if_empty(node: DictConfig, key: str) -> None:
    """Lets users add keys of their own to a mapping that has none, such as data.kinds."""
    value = node._get_node(key)
    if isinstance(value, DictConfig) and not value._is_none() and len(value) == 0:
        value._set_flag("struct", False)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return isinstance(value, _PLAIN)


def _as_yaml(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_yaml(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _as_yaml(each) for key, each in value.items()}
    return value
