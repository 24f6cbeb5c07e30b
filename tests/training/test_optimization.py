"""Row-wise updates equal those of AdamW on each row; tables are chosen where that saves time."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Adagrad, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from recsys.errors import ConfigError
from recsys.training import row_wise as rows_of
from recsys.training.optimizer import make_optimizer, make_schedule, parameter_groups
from recsys.training.row_wise import RowWiseAdamW, row_wise_tables, set_sparse_gradients

CPU = torch.device("cpu")
STEPS = 12


class Table(nn.Module):
    """An embedding that meets a target, and a layer behind it."""

    def __init__(self, rows: int, sparse: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(rows, 4, sparse=sparse)
        self.layer = nn.Linear(4, 2)

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        return (self.layer(self.table(rows)) - rows.unsqueeze(1)).square().sum()


def train(network: Table, batches: list[torch.Tensor], schedule: str, row_wise: bool) -> Table:
    optimizer = build(network, 0.3, row_wise)
    assert isinstance(optimizer, RowWiseAdamW) == row_wise
    steps = None
    if schedule == "one_cycle":
        steps = make_schedule(partial(OneCycleLR, max_lr=0.05), optimizer, len(batches))
    for rows in batches:
        optimizer.zero_grad()
        network.loss(rows).backward()
        optimizer.step()
        if steps is not None:
            steps.step()
    return network


def build(network: Table, weight_decay: float, row_wise: bool) -> torch.optim.Optimizer:
    tables = [network.table.weight] if row_wise else []
    groups = parameter_groups(network.parameters(), row_wise=tables)
    return make_optimizer(partial(AdamW, lr=0.05, weight_decay=weight_decay), groups, CPU)


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_a_table_touched_as_a_whole_moves_as_under_adamw(schedule):
    # repeated rows of a batch add up
    batches = [torch.tensor([0, 1, 2, 3, 4, step % 5]) for step in range(STEPS)]
    row_wise = train(Table(5, sparse=True), batches, schedule, row_wise=True)
    dense = train(Table(5), batches, schedule, row_wise=False)
    for name, value in dense.state_dict().items():
        torch.testing.assert_close(row_wise.state_dict()[name], value, msg=name)


def test_a_dense_gradient_moves_every_row():
    batches = [torch.tensor([0, 1, 2, 3, 4])] * STEPS
    row_wise = train(Table(5, sparse=False), batches, "constant", row_wise=True)
    dense = train(Table(5), batches, "constant", row_wise=False)
    torch.testing.assert_close(row_wise.table.weight, dense.table.weight)


def test_each_row_is_an_adamw_of_its_own_whose_clock_stands_while_nothing_touches_it():
    torch.manual_seed(1)
    start = torch.randn(3, 4)
    table = nn.Parameter(start.clone())
    optimizer = RowWiseAdamW(
        [{"params": [table], "weight_decay": 0.5, "row_wise": True}], lr=0.1, fused=True
    )
    gradients = torch.randn(4, 2, 4)
    touched = [[0, 2], [2, 0], [2], []]
    for rows, gradient in zip(touched, gradients, strict=True):
        index, values = torch.tensor([rows], dtype=torch.int64), gradient[: len(rows)]
        table.grad = torch.sparse_coo_tensor(index, values, (3, 4), check_invariants=True)
        optimizer.step()
    assert torch.equal(table[1], start[1])
    for row in (0, 2):
        alone = nn.Parameter(start[row].clone())
        own = torch.optim.AdamW([alone], lr=0.1, weight_decay=0.5)
        for rows, gradient in zip(touched, gradients, strict=True):
            if row in rows:
                alone.grad = gradient[rows.index(row)].clone()
                own.step()
        torch.testing.assert_close(table[row], alone)


def test_its_state_is_kept_and_loaded_without_pickle(tmp_path):
    batches = [torch.tensor([0, 3]), torch.tensor([3, 1])]
    network = Table(5, sparse=True)

    def step(trained: Table, optimizer: torch.optim.Optimizer, rows: torch.Tensor) -> None:
        optimizer.zero_grad()
        trained.loss(rows).backward()
        optimizer.step()

    first = build(network, 0.3, row_wise=True)
    step(network, first, batches[0])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    resumed = copy.deepcopy(network)
    second = build(resumed, 0.3, row_wise=True)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    step(network, first, batches[1])
    step(resumed, second, batches[1])
    for name, value in network.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


class Tables(nn.Module):
    """Three embeddings that a batch touches to a different extent."""

    def __init__(self) -> None:
        super().__init__()
        self.many = nn.Embedding(1000, 8)
        self.few = nn.Embedding(60, 8)
        self.whole = nn.Embedding(1000, 8)
        self.dropout = nn.Dropout(0.5)

    def backward(self) -> None:
        rows = torch.arange(10)
        found = self.dropout(self.many(rows) + self.few(rows) + self.whole(rows))
        functional.linear(found, self.whole.weight).sum().backward()


def choose(network: Tables, every_table: bool = False) -> list[str]:
    return row_wise_tables(network, network.backward, every_table=every_table)


def sparse(network: Tables) -> list[bool]:
    return [network.many.sparse, network.few.sparse, network.whole.sparse]


def test_tables_much_larger_than_what_a_batch_contains_are_chosen(monkeypatch):
    monkeypatch.setattr(rows_of, "LARGE_TABLE", 400)
    network = Tables()
    # 10 of 1000 rows; 10 of 60 are too many; the third is also read as a whole
    assert choose(network) == ["many.weight"]
    assert sparse(network) == [False, False, False]  # choosing changes nothing
    assert all(p.grad is None for p in network.parameters())
    set_sparse_gradients(network, ["many.weight"])
    assert sparse(network) == [True, False, False]


@pytest.mark.parametrize(("rows", "expected"), [(99, []), (100, ["many.weight"])])
def test_the_limit_is_ten_rows_for_each_that_a_batch_contains(monkeypatch, rows, expected):
    monkeypatch.setattr(rows_of, "LARGE_TABLE", 400)
    network = Tables()
    network.many = nn.Embedding(rows, 8)
    assert choose(network) == expected


def test_for_small_tables_no_batch_is_tried():
    tried = []
    assert row_wise_tables(Tables(), lambda: tried.append(1), every_table=False) == []
    assert not tried


def test_every_table_with_sparse_gradients_can_be_asked_for():
    assert choose(Tables(), every_table=True) == ["many.weight", "few.weight"]


def test_any_optimizer_and_schedule_of_torch_can_be_used():
    network = Table(5)
    optimizer = make_optimizer(partial(SGD, lr=0.1), parameter_groups(network.parameters()), CPU)
    schedule = make_schedule(partial(CosineAnnealingLR), optimizer, 7)
    assert schedule.T_max == 7
    groups = parameter_groups(network.parameters())
    optimizer = make_optimizer(partial(Adagrad, lr=0.1), groups, CPU)
    with pytest.raises(ConfigError, match="schedule: optimizer must support momentum"):
        make_schedule(partial(OneCycleLR, max_lr=0.1), optimizer, 7)
    with pytest.raises(ConfigError, match="optimizer: .*momentun"):
        make_optimizer(partial(SGD, lr=0.1, momentun=0.9), groups, CPU)
