"""What every learned forecaster offers.

Axes: B windows, T steps of history, H steps of the horizon, F covariates, Q quantiles, S series.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from recsys.data.windows import Window

__all__ = ["Forecaster", "Window"]


@runtime_checkable
class Forecaster(Protocol):
    """A network that reads windows in units of y and answers in units of y.

    Every forecaster also has these attributes, which stand here only because Protocols with
    attributes rule out `issubclass`:
        num_series, num_covariates, horizon: S, F and H.
        quantiles: levels of the outputs, ascending, 0.5 among them, which is the point forecast.
        history_length: steps of history that make a difference; longer ones are cut, shorter ones
            count as missing before their start.
        step_seconds: length of a step.
    """

    def scale_covariates(self, scale: Tensor) -> None:
        """Takes how much each covariate usually moves, (F,), before training."""
        ...

    def forward(self, window: Window) -> Tensor:
        """Quantiles (B, H, Q), ascending along Q, in units of y."""
        ...
