"""Rows that move on their own move as AdamW would move them; where that is worth it is chosen."""

import copy

import pytest
import torch
from recsys.training.optimization import Optimization, RowWiseAdamW
from torch import nn
from torch.nn import functional

from recsys.errors import ConfigError
from recsys.training import optimization

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
    options = Optimization(1, 0.05, 0.3, schedule)
    tables = [network.table.weight] if row_wise else []
    made = options.configure(network.parameters(), len(batches), CPU, tables)
    optimizer = made if schedule == "constant" else made["optimizer"]
    assert isinstance(optimizer, RowWiseAdamW) == row_wise
    for rows in batches:
        optimizer.zero_grad()
        network.loss(rows).backward()
        optimizer.step()
        if schedule != "constant":
            made["lr_scheduler"]["scheduler"].step()
    return network


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
    options = Optimization(1, 0.05, 0.3)

    def step(trained: Table, optimizer: torch.optim.Optimizer, rows: torch.Tensor) -> None:
        optimizer.zero_grad()
        trained.loss(rows).backward()
        optimizer.step()

    first = options.configure(network.parameters(), 2, CPU, [network.table.weight])
    step(network, first, batches[0])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    resumed = copy.deepcopy(network)
    second = options.configure(resumed.parameters(), 2, CPU, [resumed.table.weight])
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


def choose(options: Optimization, **settings) -> tuple[Tables, list[str]]:
    network = Tables()
    settings = {"processes": 1, "clipped": False} | settings
    return network, options.choose_tables(network, network.backward, **settings)


def test_tables_much_larger_than_what_a_batch_touches_move_row_by_row(monkeypatch):
    monkeypatch.setattr(optimization, "LARGE_TABLE", 400)
    network, chosen = choose(Optimization(1, 0.1))
    # 10 of 1000 rows; 10 of 60 are too many; the third is also read as a whole
    assert chosen == ["many.weight"]
    assert [network.many.sparse, network.few.sparse, network.whole.sparse] == [True, False, False]
    assert all(p.grad is None for p in network.parameters())


def test_the_limit_is_ten_rows_for_each_that_a_batch_touches(monkeypatch):
    monkeypatch.setattr(optimization, "LARGE_TABLE", 400)
    for rows, expected in ((99, []), (100, ["many.weight"])):
        network = Tables()
        network.many = nn.Embedding(rows, 8)
        options = Optimization(1, 0.1)
        found = options.choose_tables(network, network.backward, processes=1, clipped=False)
        assert found == expected


def test_small_tables_move_as_a_whole_and_no_batch_is_tried():
    network = Tables()
    options = Optimization(1, 0.1)
    tried = []
    found = options.choose_tables(network, lambda: tried.append(1), processes=1, clipped=False)
    assert found == []
    assert not tried
    assert not network.many.sparse


@pytest.mark.parametrize("settings", [{"clipped": True}, {"processes": 2}])
def test_clipping_and_several_processes_need_whole_gradients(monkeypatch, settings):
    monkeypatch.setattr(optimization, "LARGE_TABLE", 400)
    network, chosen = choose(Optimization(1, 0.1), **settings)
    assert chosen == []
    assert not network.many.sparse
    with pytest.raises(ConfigError, match=r"train\.row_wise=true needs"):
        choose(Optimization(1, 0.1, row_wise=True), **settings)


def test_asking_for_rows_or_for_whole_tables_overrules_the_choice(monkeypatch):
    assert choose(Optimization(1, 0.1, row_wise=True))[1] == ["many.weight", "few.weight"]
    monkeypatch.setattr(optimization, "LARGE_TABLE", 400)
    assert choose(Optimization(1, 0.1, row_wise=False))[1] == []
    with pytest.raises(ConfigError, match=r"train\.row_wise='no': choose true, false or null"):
        Optimization(1, 0.1, row_wise="no")
