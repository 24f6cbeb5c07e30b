"""How parameters move."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError

# a table moves row by row where it has at least so many rows for each that a batch touches: half
# as often, both ways take the same time
ROWS_PER_TOUCHED = 10
# numbers; a row that moves only when touched has fewer steps in which its momentum carries it, and
# learns more slowly: below this size a step over the whole table is worth its time
LARGE_TABLE = 2**25


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
        row_wise: whether only the rows of embeddings that a batch touches move (`RowWiseAdamW`);
            None: of those tables where it saves time.
    """

    max_epochs: int
    lr: float
    weight_decay: float = 0.0
    schedule: str = "constant"
    row_wise: bool | None = None

    def __post_init__(self) -> None:
        require_numbers(
            "train", max_epochs=self.max_epochs, lr=self.lr, weight_decay=self.weight_decay
        )
        if self.schedule not in ("constant", "one_cycle"):
            raise ConfigError(
                f"train.schedule={self.schedule!r} is unknown; choose constant or one_cycle"
            )
        if self.row_wise not in (None, True, False):
            raise ConfigError(f"train.row_wise={self.row_wise!r}: choose true, false or null")
        if self.max_epochs < 1:
            raise ConfigError(f"train.max_epochs={self.max_epochs}: it has to be at least 1")

    def choose_tables(
        self, model: nn.Module, backward: Callable[[], None], *, processes: int, clipped: bool
    ) -> list[str]:
        """Tells embeddings to give sparse gradients where only touched rows are to move.

        Args:
            model: what is trained.
            backward: leaves the gradients of one batch in the model.
            processes: that train together; several exchange dense gradients.
            clipped: whether the gradient is clipped, by a norm that sparse ones do not have.

        Returns:
            Names of their parameters.

        Raises:
            ConfigError: `row_wise` is asked for where it cannot be.
        """
        if self.row_wise and (clipped or processes > 1):
            reason = "train.gradient_clip=null" if clipped else "one process (trainer.devices=1)"
            raise ConfigError(f"train.row_wise=true needs {reason}; or set it to null")
        tables = {
            f"{name}.weight": module
            for name, module in model.named_modules()
            if isinstance(module, nn.Embedding) and module.weight.requires_grad
        }
        large = {n: t for n, t in tables.items() if self.row_wise or _is_large(t)}
        if self.row_wise is False or clipped or processes > 1 or not large:
            return []
        for table in large.values():
            table.sparse = True
        backward()
        for table in large.values():
            grad = table.weight.grad
            # a table that is also read as a whole has a dense gradient
            table.sparse = (
                grad is not None
                and grad.is_sparse
                and (bool(self.row_wise) or ROWS_PER_TOUCHED * grad._nnz() <= len(table.weight))
            )
        model.zero_grad(set_to_none=True)
        return [name for name, table in large.items() if table.sparse]

    def configure(
        self,
        parameters: Iterable[nn.Parameter],
        steps_an_epoch: int,
        device: torch.device,
        row_wise: Iterable[nn.Parameter] = (),
        no_weight_decay: Iterable[nn.Parameter] = (),
    ) -> Any:
        """What Lightning's `configure_optimizers` returns; fused where the device has it.

        Args:
            parameters: of the module.
            steps_an_epoch: batches.
            device: where they are.
            row_wise: those of which only touched rows move.
            no_weight_decay: matrices that do not decay either.
        """
        trained = [p for p in parameters if p.requires_grad]
        by_row = {id(p) for p in row_wise}
        spared = {id(p) for p in no_weight_decay} | {id(p) for p in trained if p.ndim <= 1}
        decayed = [p for p in trained if id(p) not in by_row | spared]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": [p for p in trained if id(p) in spared - by_row], "weight_decay": 0.0},
        ]
        fused = device.type in ("cpu", "cuda")
        optimizer: torch.optim.Optimizer
        if by_row:
            tables = [p for p in trained if id(p) in by_row]
            groups.append({"params": tables, "weight_decay": self.weight_decay, "row_wise": True})
            optimizer = RowWiseAdamW(groups, lr=self.lr, fused=fused)
        else:
            optimizer = torch.optim.AdamW(groups, lr=self.lr, fused=fused)
        if self.schedule == "constant":
            return optimizer
        steps = self.max_epochs * steps_an_epoch
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class RowWiseAdamW(torch.optim.AdamW):
    """AdamW that moves, of the parameters in groups with `row_wise`, only the rows that a sparse
    gradient names.

    Each such row is an AdamW of its own: its clock, its moments and its decay stand still while no
    batch touches it. So a table whose rows are all touched in every step moves as under AdamW, and
    weight decay is per touch and not per step, as in stochastic gradient descent on the pairs of a
    batch (Rendle et al., BPR, UAI 2009): a rare item is not decayed away between two of its
    purchases. (torch.optim.SparseAdam has one clock for the table, with which the first steps of a
    rare row are three times too long, and no decay.)

    Source: Kingma and Ba, Adam, ICLR 2015; Loshchilov and Hutter, Decoupled Weight Decay
    Regularization, ICLR 2019; rows on their own as in TensorFlow's LazyAdam.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, fused: bool) -> None:
        super().__init__(groups, lr=lr, fused=fused)
        # rows do not know of a gradient scaler: it unscales before
        self._step_supports_amp_scaling = False

    def step(self, closure: Any = None) -> Any:
        """One step; `closure` computes the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"] if group.get("row_wise") else ():
                if table.grad is not None:
                    self._move_rows(table, group)
                    table.grad = None  # nothing is left for the step over whole tensors
        super().step()
        return loss

    @torch.no_grad()
    def _move_rows(self, table: Tensor, group: dict[str, Any]) -> None:
        assert table.grad is not None
        rows, grad = _touched(table.grad)  # (K,), (K, D)
        state = self.state[table]
        if not state:
            state["step"] = table.new_zeros(len(table), 1)
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        (beta1, beta2), lr = group["betas"], group["lr"]
        step = state["step"][rows] + 1  # (K, 1)
        mean = state["exp_avg"][rows].lerp_(grad, 1 - beta1)
        square = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        for name, value in {"step": step, "exp_avg": mean, "exp_avg_sq": square}.items():
            state[name].index_copy_(0, rows, value)
        length = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        moved = table[rows].mul_(1 - lr * group["weight_decay"])
        table.index_copy_(0, rows, moved.addcdiv_(mean / (1 - beta1**step), length, value=-lr))


def _touched(grad: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (K,) and their gradients (K, D)."""
    if not grad.is_sparse:
        return torch.arange(len(grad), device=grad.device), grad
    grad = grad.coalesce()
    return grad.indices()[0], grad.values()


def _is_large(table: nn.Embedding) -> bool:
    return table.weight.numel() >= LARGE_TABLE
