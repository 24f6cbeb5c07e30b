"""The composed configuration as frozen dataclasses: checked once, before anything is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsys.config.checking import check_arguments, wrong
from recsys.config.completion import SUPPLIED
from recsys.config.targets import Target
from recsys.errors import ConfigError
from recsys.ranges import Count, NonNegative, Positive, Seed, Share


@dataclass(frozen=True)
class Pretrained:
    """Runs that NeuMF starts from.

    Attributes:
        gmf, mlp: folders of runs on the same data and split.
        alpha: weight of the GMF half.
    """

    gmf: str | None = None
    mlp: str | None = None
    alpha: Share = 0.5

    def __post_init__(self) -> None:
        if self.alpha != 0.5 and not (self.gmf or self.mlp):
            raise ConfigError(
                f"train.pretrained.alpha={self.alpha:g} has no effect without the halves that it"
                " weighs: set train.pretrained.gmf and train.pretrained.mlp, or leave it out"
            )


@dataclass(frozen=True)
class TrainSettings:
    """How long and how a model is trained.

    Attributes:
        max_epochs: at most; the schedule spans them. None: as many as make 1,600 steps, between 20
            and 80.
        lr: the highest learning rate of the schedule.
        weight_decay: of the optimizer.
        monitor: metric that decides which epoch is best.
        validate_every: epochs between two validations; None: a tenth of all.
        patience: validations without a better value before training stops.
        gradient_clip: largest norm of the gradient; None: unclipped.
        row_wise: whether only the rows of embeddings that a batch touches are updated; None: where
            that saves time.
        pretrained: of NeuMF.
    """

    monitor: str
    max_epochs: Count | None = None
    lr: Positive = 0.005
    weight_decay: NonNegative = 0.1
    validate_every: Count | None = None
    patience: Count = 5
    gradient_clip: Positive | None = None
    row_wise: bool | None = None
    pretrained: Pretrained = field(default_factory=Pretrained)


@dataclass(frozen=True)
class Choices:
    """Names of what was composed, for the run's own record."""

    data: str
    model: str
    evaluation: str
    loss: str | None = None
    experiment: str | None = None
    overrides: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run.

    Attributes:
        seed: of weights, batches, negatives, dropout and random splits.
        train, choices: see there.
        task: what the run is for; None: decided by the data.
        data, model, evaluation, optimizer, trainer: what is built.
        loss: what the model is trained with; None: nothing was chosen, and the model names none.
        schedule: of the learning rate; None: constant.
        logger, callbacks: by name.
        parts: of a model that is made of others, each as it would be trained alone, by name; what
            does not concern its training is the run's.
        plain: the configuration as composed, for config.yaml.
    """

    seed: int
    train: TrainSettings
    choices: Choices
    task: Target | None
    data: Target
    model: Target
    loss: Target | None
    evaluation: Target
    optimizer: Target
    schedule: Target | None
    trainer: Target
    logger: Mapping[str, Target]
    callbacks: Mapping[str, Target]
    plain: Mapping[str, Any] = field(repr=False)
    parts: "Mapping[str, Settings]" = field(default_factory=dict)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Settings":
        """Reads and checks a composed configuration.

        Raises:
            ConfigError: a setting of another type, out of its range, or unknown.
        """
        for name in _SECTIONS:
            if name not in plain:
                raise ConfigError(f"{name} is missing, and no run is without: leave ~{name} out")
        for name, hint in (("seed", Seed), ("allow", Sequence[str])):
            if (words := wrong(value := plain.get(name, []), hint)) is not None:
                raise ConfigError(f"{name}={value!r}: it has to be {words}")
        if not isinstance(plain["choices"], Mapping):
            raise ConfigError(f"choices={plain['choices']!r}: it is filled in; leave it out")
        check_arguments("choices", Choices, plain["choices"])
        one: dict[str, Any] = {
            name: _target(name, plain[name]) for name in ("data", "model", "evaluation")
        }
        settings = cls(
            seed=plain["seed"],
            train=_train(plain["train"]),
            choices=Choices(**plain["choices"]),
            task=_optional("task", plain.get("task")),
            **one,
            loss=_optional("loss", plain.get("loss")),
            optimizer=_target("optimizer", plain["optimizer"]),
            schedule=_optional("schedule", plain.get("schedule")),
            trainer=Target.from_plain("trainer", plain["trainer"]),
            logger=_targets("logger", plain["logger"]),
            callbacks=_targets("callbacks", plain["callbacks"]),
            plain=plain,
        )
        parts = (plain.get("parts") or {}).items()
        return replace(settings, parts={name: _part(settings, name, each) for name, each in parts})

    def monitor(self) -> str:
        """The metric that decides which epoch, or which trial, is best."""
        return self.train.monitor


# of a composed configuration; task, loss and schedule may be missing
_SECTIONS = (
    *("seed", "train", "choices", "data", "model", "evaluation", "optimizer"),
    *("trainer", "logger", "callbacks"),
)


def _target(section: str, plain: Any) -> Target:
    target = Target.from_plain(section, plain)
    if section == "evaluation" and "split" in target.arguments:
        split = target.arguments["split"]
        if not isinstance(split, Mapping):
            found = "null" if split is None else split
            raise ConfigError(f"evaluation.split={found}: choose a split with evaluation=NAME")
    _check(section, target, SUPPLIED.get(section, set()))
    return target


def _part(run: Settings, name: str, plain: Any) -> Settings:
    """Settings with which one part of a model is trained."""
    parts = run.model.arguments.get("parts") or run.model.arguments  # or the first of two stages
    model = Target.from_plain(f"parts.{name}.model", parts[name])
    try:
        _check("model", model, SUPPLIED["model"])
        part = replace(
            run, model=model, loss=None, choices=replace(run.choices, model=plain["model"])
        )
        if not plain.get("loss"):
            return part
        return replace(
            part,
            loss=_target("loss", plain["loss"]),
            train=_train(plain["train"]),
            optimizer=_target("optimizer", plain["optimizer"]),
            schedule=_optional("schedule", plain.get("schedule")),
        )
    except ConfigError as error:
        # its own words name its keys as on a command line of its own
        raise ConfigError(f"parts.{name}: {error}") from error


def _train(plain: Any) -> TrainSettings:
    target = Target.from_plain("train", plain)
    if target.resolve() is not TrainSettings:
        raise ConfigError(f"train._target_={target.path}: leave it as it is")
    settings: TrainSettings = _target("train", plain).build()
    return settings


def _check(section: str, target: Target, supplied: set[str]) -> None:
    check_arguments(section, target.resolve(), target.arguments, supplied)
    for name, value in target.arguments.items():
        if isinstance(value, Mapping) and "_target_" in value:
            part = Target.from_plain(f"{section}.{name}", value)
            _check(f"{section}.{name}", part, supplied)
            # beside `member`, `members` are what each of several has of its own
            for own in target.arguments.get(f"{name}s") or ():
                check_arguments(f"{section}.{name}s", part.resolve(), own, supplied)


def _optional(section: str, plain: Any) -> Target | None:
    return None if not plain else _target(section, plain)


def _targets(section: str, plain: Any) -> dict[str, Target]:
    if not isinstance(plain or {}, Mapping):
        raise ConfigError(
            f"{section}={plain!r}: it has to be {section}=NAME, or names with targets"
        )
    return {
        name: Target.from_plain(f"{section}.{name}", each)
        for name, each in (plain or {}).items()
        if each is not None
    }
