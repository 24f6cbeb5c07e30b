"""Optimizer and schedule."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NotRequired, TypedDict

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recsys.errors import ConfigError
from recsys.training.row_wise import RowWiseAdamW

# what schedules call the number of steps that they span
_SPANS = ("total_steps", "T_max")
# of a schedule that is only tried out
_STEPS = 10


class ParameterGroup(TypedDict):
    """Parameters that an optimizer treats alike."""

    params: list[nn.Parameter]
    weight_decay: NotRequired[float]
    row_wise: NotRequired[bool]


def parameter_groups(
    parameters: Iterable[nn.Parameter],
    no_weight_decay: Iterable[nn.Parameter] = (),
    row_wise: Iterable[nn.Parameter] = (),
) -> list[ParameterGroup]:
    """Groups for an optimizer: biases and other vectors do not decay.

    Args:
        parameters: of the model; those without a gradient are left out.
        no_weight_decay: matrices that do not decay either.
        row_wise: tables for `RowWiseAdamW`.
    """
    trained = [p for p in parameters if p.requires_grad]
    by_row = {id(p) for p in row_wise}
    exempt = {id(p) for p in no_weight_decay} | {id(p) for p in trained if p.ndim <= 1}
    groups: list[ParameterGroup] = [
        {"params": [p for p in trained if id(p) not in by_row | exempt]},
        {"params": [p for p in trained if id(p) in exempt - by_row], "weight_decay": 0.0},
    ]
    if by_row:
        groups.append({"params": [p for p in trained if id(p) in by_row], "row_wise": True})
    return groups


def can_update_rows(optimizer: "partial[Any]") -> bool:
    """Whether `RowWiseAdamW` can stand in for the configured optimizer."""
    plain = not any(optimizer.keywords.get(name) for name in ("amsgrad", "maximize"))
    return optimizer.func is AdamW and plain


def make_optimizer(
    optimizer: "partial[Any]", groups: list[ParameterGroup], device: torch.device
) -> Optimizer:
    """The configured optimizer over these groups; `RowWiseAdamW` where one of them is row-wise.

    Adam and AdamW are fused where the device allows it, unless the settings choose a way.

    Raises:
        ConfigError: arguments that the optimizer refuses.
    """
    settings = dict(optimizer.keywords)
    kind: Any = optimizer.func
    chosen = settings.get("fused") is not None or any(
        settings.get(name) for name in ("foreach", "differentiable")
    )
    if not chosen and inspect.isclass(kind) and issubclass(kind, Adam):
        settings["fused"] = device.type in ("cpu", "cuda")
    if any(group.get("row_wise") for group in groups):
        kind = RowWiseAdamW
    with _refusals("optimizer"):
        made: Optimizer = kind(groups, **settings)
    return made


def try_out(optimizer: "partial[Any]", schedule: "partial[Any] | None") -> None:
    """Takes steps with one parameter, so that settings that cannot be are refused early.

    Raises:
        ConfigError: arguments that the optimizer or the schedule refuses.
    """
    parameter = nn.Parameter(torch.zeros(1, 1))
    made = make_optimizer(optimizer, [{"params": [parameter]}], parameter.device)
    planned = None if schedule is None else make_schedule(schedule, made, _STEPS)
    parameter.grad = torch.ones_like(parameter)
    for _ in range(_STEPS - 1):
        with _refusals("optimizer"):
            made.step()
        if planned is not None:
            with _refusals("schedule"):
                planned.step()


@contextmanager
def _refusals(section: str) -> Iterator[None]:
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # torch checks few of the arguments, and stumbles over the others
        raise ConfigError(f"{section}: {error}") from error


def make_schedule(schedule: "partial[Any]", optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """The configured schedule, over `total_steps` steps where it has an argument for them.

    Raises:
        ConfigError: arguments that the schedule or the optimizer does not allow.
    """
    parameters = inspect.signature(schedule.func).parameters
    span = {name: total_steps for name in _SPANS if name in parameters}
    with _refusals("schedule"):
        made: LRScheduler = schedule(optimizer, **span)
    return made
