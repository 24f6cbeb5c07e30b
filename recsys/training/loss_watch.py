"""The running loss of an epoch, kept on the device and read rarely, so that it never stalls it."""

import torch
from torch import Tensor, nn

from recsys.errors import TrainingError

STEPS_BETWEEN_CHECKS = 100


def require_finite(model: nn.Module, lr: float | None) -> None:
    """Raises TrainingError where a weight is NaN or infinite; the last step has no loss after it.

    Args:
        model: trained.
        lr: learning rate, named in the error.
    """
    for name, weight in model.named_parameters():
        if not bool(weight.isfinite().all()):
            raise TrainingError(
                f"weights of {name} are NaN or infinite after the last step: lower train.lr (now"
                f" {lr}) or set train.gradient_clip"
            )


class LossWatch:
    """Sums the losses of an epoch and stops a training whose loss is NaN or infinite.

    Args:
        lr: learning rate, named in the error.
    """

    def __init__(self, lr: float | None) -> None:
        self._lr = lr
        self._sum = torch.zeros(())

    def start(self, device: torch.device) -> None:
        """Starts an epoch."""
        self._sum = torch.zeros((), device=device)

    def add(self, loss: Tensor, epoch: int, batch_idx: int) -> None:
        """Adds the loss of a batch, a scalar."""
        self._sum += loss.detach()
        if (batch_idx + 1) % STEPS_BETWEEN_CHECKS == 0:
            self.check(epoch, batch_idx)

    def mean(self, steps: int) -> Tensor:
        """Mean loss of the epoch so far."""
        return self._sum / steps

    def check(self, epoch: int, batch_idx: int) -> None:
        """Raises TrainingError where the sum is NaN or infinite."""
        if not bool(torch.isfinite(self._sum)):
            raise TrainingError(
                f"the loss is NaN or infinite (epoch {epoch + 1}, step {batch_idx + 1}): lower"
                f" train.lr (now {self._lr}) or set train.gradient_clip; checkpoints of earlier"
                " epochs remain"
            )
