"""Several forecasters that answer as one.

Axes: B windows, H steps of the horizon, Q quantiles, M members.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from recsys.data.windows import Window
from recsys.errors import ConfigError
from recsys.steps import Step

# what members cannot differ in
OF_ALL = {"num_series", "num_covariates", "horizon", "step", "quantiles", "season"}


class ForecasterEnsemble(nn.Module):
    """The median of members that differ in their first weights, in the windows they learn from, and
    in settings where these are given.

    In training each member answers a share of the batch that nobody else sees, so that its own
    batch has B / M windows.

    Args:
        num_series, num_covariates, horizon, step, quantiles, season: of each member.
        member: builds one from these and its settings.
        members: settings of each member beside those that all have; M of them.

    Source: Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using
    Deep Ensembles, NeurIPS 2017; that quantiles are combined level by level: Lichtendahl et al.,
    Is It Better to Average Probabilities or Quantiles?, Management Science 2013.
    """

    def __init__(
        self,
        num_series: int,
        num_covariates: int,
        horizon: int,
        step: Step,
        quantiles: tuple[float, ...],
        member: Callable[..., Any],
        members: Sequence[Mapping[str, object]] = ({}, {}, {}),
        season: int | None = None,
    ) -> None:
        super().__init__()
        if len(members) < 2:
            raise ConfigError(f"model.members has {len(members)}: an ensemble has two at least")
        known = [name for name in inspect.signature(member).parameters if name not in OF_ALL]
        if strange := sorted({name for own in members for name in own} - set(known)):
            raise ConfigError(
                f"model.members: {strange[0]} is no setting of a member; choose from"
                f" {', '.join(known)}"
            )
        sizes = (num_series, num_covariates, horizon, step)
        self.members = nn.ModuleList(
            member(*sizes, quantiles, season=season, **own) for own in members
        )
        self.num_series, self.num_covariates, self.horizon = num_series, num_covariates, horizon
        self.step, self.quantiles = step, tuple(quantiles)
        self.history_length = max(int(m.history_length) for m in cast(list[Any], self.members))

    @property
    def is_student_t(self) -> bool:
        """Of the members."""
        return bool(self.members[0].is_student_t)

    @property
    def student_t(self) -> Tensor:
        """Of the members, (Q,)."""
        return cast(Tensor, self.members[0].student_t)

    def scale_covariates(self, scale: Tensor) -> None:
        """Takes how much each covariate usually moves, (F,)."""
        for member in self.members:
            member.scale_covariates(scale)  # type: ignore[operator]

    def scaled(self, window: Window) -> tuple[Tensor, Any]:
        """In training: quantiles on the scale of each window (B, H, Q), and that scale."""
        assert self.training
        shares = zip(*(part.tensor_split(len(self.members)) for part in window), strict=True)
        members = cast(list[Any], self.members)
        answers = [m.scaled(Window(*s)) for m, s in zip(members, shares, strict=True)]
        scaling = [torch.cat(fields) for fields in zip(*(s for _, s in answers), strict=True)]
        return torch.cat([z for z, _ in answers]), type(answers[0][1])(*scaling)

    def forward(self, window: Window) -> Tensor:
        """Quantiles (B, H, Q), in units of y; in training each row is one member's."""
        if self.training:
            z, scaling = self.scaled(window)
            return scaling.invert(z)
        answers = torch.stack([member(window) for member in self.members])  # (M, B, H, Q)
        upper = answers.topk(len(self.members) // 2 + 1, dim=0).values
        # of an even number the mean of the two in the middle
        return upper[-1] if len(self.members) % 2 else upper[-2:].mean(dim=0)
