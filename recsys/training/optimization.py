"""How parameters move."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from recsys.errors import ConfigError


def require_numbers(section: str, **settings: object) -> None:
    """Raises ConfigError where a setting of the section is no number."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{section}.{name}={value!r} is not a number")


@dataclass(frozen=True)
class Optimization:
    """AdamW with or without a one-cycle schedule.

    Attributes:
        max_epochs: at most; the one-cycle schedule spans them, also where training stops earlier.
        lr: the highest learning rate.
        weight_decay: decoupled, of matrices (embeddings and layers), not of biases.
        schedule: "one_cycle" or "constant".
    """

    max_epochs: int
    lr: float
    weight_decay: float = 0.0
    schedule: str = "constant"

    def __post_init__(self) -> None:
        require_numbers(
            "train", max_epochs=self.max_epochs, lr=self.lr, weight_decay=self.weight_decay
        )
        if self.schedule not in ("constant", "one_cycle"):
            raise ConfigError(
                f"train.schedule={self.schedule!r} is unknown; choose constant or one_cycle"
            )
        if self.max_epochs < 1:
            raise ConfigError(f"train.max_epochs={self.max_epochs}: it has to be at least 1")

    def configure(
        self,
        parameters: Iterable[nn.Parameter],
        steps_an_epoch: int,
        device: torch.device,
        undecayed: Iterable[nn.Parameter] = (),
    ) -> Any:
        """What Lightning's `configure_optimizers` returns; fused where the device has it.

        Args:
            parameters: of the module.
            steps_an_epoch: batches.
            device: where they are.
            undecayed: matrices that do not decay either.
        """
        trained = [p for p in parameters if p.requires_grad]
        spared = {id(p) for p in undecayed} | {id(p) for p in trained if p.ndim <= 1}
        decayed = [p for p in trained if id(p) not in spared]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": [p for p in trained if id(p) in spared], "weight_decay": 0.0},
        ]
        fused = device.type in ("cpu", "cuda")
        optimizer = torch.optim.AdamW(groups, lr=self.lr, fused=fused)
        if self.schedule == "constant":
            return optimizer
        steps = self.max_epochs * steps_an_epoch
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
