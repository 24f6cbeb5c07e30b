"""Embedding tables of which a step updates only the rows that a batch contains."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

# a table is updated row by row where it has at least so many rows for each that a batch contains:
# with half as many, both ways take the same time
ROWS_PER_TOUCHED = 10
# numbers; a row that is updated only when a batch contains it gets fewer steps from its momentum
# and learns more slowly: below this size an update of the whole table is worth its time
LARGE_TABLE = 2**25


def row_wise_tables(
    model: nn.Module, backward: Callable[[], None], *, every_table: bool
) -> list[str]:
    """Names of the embedding tables to update row by row.

    Args:
        model: to train; it is left as it was.
        backward: leaves the gradients of one batch in the model.
        every_table: whether all tables with sparse gradients are chosen, not only large ones of
            which a batch contains few rows.
    """
    tables = {
        f"{name}.weight": module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.weight.requires_grad
    }
    large = {n: t for n, t in tables.items() if every_table or t.weight.numel() >= LARGE_TABLE}
    if not large:
        return []
    set_sparse_gradients(model, large)
    backward()
    found = []
    for name, table in large.items():
        grad = table.weight.grad
        # a table that is also read as a whole has a dense gradient
        if grad is not None and grad.is_sparse:
            few = ROWS_PER_TOUCHED * grad._nnz() <= len(table.weight)
            found += [name] if every_table or few else []
    set_sparse_gradients(model, ())
    model.zero_grad(set_to_none=True)
    return found


def set_sparse_gradients(model: nn.Module, tables: Collection[str]) -> None:
    """Lets these embedding tables have sparse gradients, and all others dense ones.

    Args:
        model: holds them.
        tables: names of their parameters ("user.weight").
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            module.sparse = f"{name}.weight" in tables


class RowWiseAdamW(torch.optim.AdamW):
    """AdamW that updates, of the parameters in groups with `row_wise`, only the rows that a sparse
    gradient names.

    Each such row has its own step count and moments, and none of them changes, nor does weight
    decay apply, while no batch contains it. So a table of which every step contains all rows is
    updated as by AdamW, and weight decay is per occurrence and not per step, as in stochastic
    gradient descent on the pairs of a batch (Rendle et al., BPR, UAI 2009): a rare item is not
    decayed to zero between two of its purchases. (torch.optim.SparseAdam has one step count for the
    table, with which the first steps of a rare row are three times too long, and no decay.)

    Source: Kingma and Ba, Adam, ICLR 2015; Loshchilov and Hutter, Decoupled Weight Decay
    Regularization, ICLR 2019; rows on their own as in TensorFlow's LazyAdam.
    """

    def __init__(self, params: Any, **settings: Any) -> None:
        super().__init__(params, **settings)
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
                    self._update_rows(table, group)
                    table.grad = None  # none is left for the update of whole tensors
        super().step()
        return loss

    @torch.no_grad()
    def _update_rows(self, table: Tensor, group: dict[str, Any]) -> None:
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
