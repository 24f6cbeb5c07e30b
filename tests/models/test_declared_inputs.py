"""A model of its own with an attribute, a context column and the clock: trained, judged, exported
and asked, with no edit anywhere else.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from recsys.data.dataset import Dataset
from recsys.data.events import columns_of
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.report import DataReport
from recsys.data.schema import Columns, Kind
from recsys.data.shards import ALONE
from recsys.data.splits.phase import Phase
from recsys.data.tables import TableSource
from recsys.errors import ConfigError
from recsys.evaluation.ranking import RankingEvaluator, evaluate
from recsys.export import write_recommender_bundle
from recsys.inference import Recommender as Bundle
from recsys.inference import verify
from recsys.models.inputs import (
    HISTORY,
    HISTORY_AGE,
    HISTORY_QUANTITY,
    HOUR,
    USER,
    WEEKDAY,
    InputVocabulary,
    Query,
    context_number,
    query_of,
    user_category,
)
from recsys.models.recommenders.gmf import GMF
from recsys.tasks.recommendation import context_fingerprint
from recsys.training.losses.bce import BCE
from recsys.training.losses.full_softmax import FullSoftmax
from recsys.training.losses.next_purchases import NextPurchases

HOURS_8 = 8 * 3_600
INCOME = ["high", "low", None, "low"]  # of users 0 to 3
# user, item, time, coupons: user 0 buys item 1 twice; rows 6 to 9 are the truth
ROWS = [
    (0, 0, 0 * 86_400 + HOURS_8, 1.0),
    (0, 1, 1 * 86_400 + HOURS_8, 2.0),
    (1, 1, 1 * 86_400, np.nan),
    (0, 1, 2 * 86_400 + HOURS_8, 3.0),
    (1, 2, 3 * 86_400, 5.0),
    (2, 2, 3 * 86_400, 6.0),
    (1, 0, 5 * 86_400 + 60, 8.0),
    (0, 2, 4 * 86_400 + HOURS_8, 7.0),
    (0, 0, 5 * 86_400, 9.0),
    (3, 0, 5 * 86_400, 9.0),
]


def columns(**values: object) -> Columns:
    kinds: dict[str, Kind] = {"income": "category", "coupons": "number"}
    named = {name: kinds[name] for name in values}
    return columns_of(TableSource(pa.table(values)), {}, named, (), "data", ())


def dataset() -> Dataset:
    user, item, time, coupons = (np.array(column) for column in zip(*ROWS, strict=True))
    report = DataReport("toy.csv")
    report.timezone = "Europe/Berlin"
    return Dataset(
        user.astype(np.int32),
        item.astype(np.int32),
        time.astype(np.int64),
        (time // 86_400).astype(np.int32),
        np.array(["ann", "bob", "cid", "dot"], dtype=object),
        np.array(["milk", "tea", "rum"], dtype=object),
        report,
        users=columns(income=INCOME),
        context=columns(coupons=coupons),
    )


def phase() -> PhaseData:
    return index_phase(dataset(), "test", Phase(np.arange(6), np.arange(6, 10)))


class Segments(nn.Module):
    """score(u, i) = popularity of i with the income, the coupons and the hour of the request."""

    inputs = (user_category("income"), context_number("coupons"), HOUR)
    floats_per_pair = 1

    def __init__(self, num_users: int, num_items: int, num_categories: Mapping[str, int]) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.income = nn.Embedding(num_categories["users.income"] + 1, num_items)
        self.numbers = nn.Linear(2, num_items)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        numbers = torch.stack([query["context.coupons"] / 10, query["time.hour"] / 24], dim=1)
        return self.income(query["users.income"]) + self.numbers(numbers.nan_to_num())


def model(data: PhaseData) -> Segments:
    torch.manual_seed(0)
    size = data.vocabulary.num_users, data.vocabulary.num_items
    return Segments(*size, InputVocabulary(columns=data.columns))


def test_a_run_is_on_other_data_where_context_that_its_model_reads_has_changed():
    def found(model: type, coupons: list[float], till: str = "1") -> str:
        table = pa.table({"coupons": coupons, "till": [till] * len(coupons)})
        kinds: dict[str, Kind] = {"coupons": "number"}
        context = columns_of(TableSource(table), {}, kinds, (), "data", ())
        return context_fingerprint(model, context)

    assert found(Segments, [1.0, 2.0]) == found(Segments, [1.0, 2.0], till="2")
    assert found(Segments, [1.0, 2.0]) != found(Segments, [1.0, 3.0])
    assert found(GMF, [1.0, 2.0]) == ""


def test_context_and_clock_are_those_of_the_last_event_of_a_pair_and_of_a_user():
    columns = phase().columns
    assert columns is not None
    # pairs: ann milk, ann tea, bob tea, bob rum, cid rum
    coupons = columns.of_pairs("context.coupons", category=False)
    torch.testing.assert_close(coupons, torch.tensor([1, 3, torch.nan, 5, 6]), equal_nan=True)
    assert columns.of_users("context.coupons", category=False).tolist() == [3, 5, 6]
    # in Berlin one hour later than UTC
    assert columns.of_pairs("time.hour", category=False).tolist() == [9, 9, 1, 1, 1]
    assert columns.of_users("time.weekday", category=False).tolist() == [5, 6, 6]  # 3 January 1970


def test_an_evaluated_user_has_the_values_of_the_first_event_of_the_truth():
    columns = phase().columns
    assert columns is not None
    asked = columns.of_queries("context.coupons", category=False)
    torch.testing.assert_close(asked, torch.tensor([7, 8, torch.nan]), equal_nan=True)
    hours = columns.of_queries("time.hour", category=False)
    torch.testing.assert_close(hours, torch.tensor([9, 1, torch.nan]), equal_nan=True)


def test_categories_are_those_of_fitted_users_and_the_next_index_is_unknown():
    columns = phase().columns
    assert columns is not None
    assert columns.categories("users.income").tolist() == ["high", "low"]
    for values in (columns.of_users, columns.of_queries):
        assert values("users.income", category=True).tolist() == [0, 1, 2]
    assert columns.of_pairs("users.income", category=True).tolist() == [0, 0, 1, 1, 2]


def test_a_column_that_is_missing_or_of_another_kind_is_named():
    columns = phase().columns
    assert columns is not None
    with pytest.raises(ConfigError, match="column 'age' of the users, and it has income"):
        columns.of_users("users.age", category=False)
    with pytest.raises(ConfigError, match="as a number, and its kind is category"):
        columns.of_users("users.income", category=False)


@pytest.mark.parametrize("loss", [BCE(batch_size=2), FullSoftmax(batch_size=2)])
def test_both_kinds_of_batches_train_every_input(loss):
    data = phase()
    network = model(data)
    objective = loss.objective(network, data.interactions, seed=0)
    total = torch.zeros(())
    for batch in objective.batches(torch.device("cpu"), lambda: 0, ALONE):
        total = total + objective.loss(network, batch)[0]
    total.backward()
    assert network.income.weight.grad is not None
    assert (network.income.weight.grad.abs().sum(dim=1) > 0).all()
    assert network.numbers.weight.grad is not None
    assert (network.numbers.weight.grad != 0).all()


class Shopper(nn.Module):
    """Scores every item alike, by what the model reads: the queries are what is tested."""

    inputs = (HISTORY, HISTORY_AGE, HISTORY_QUANTITY, user_category("income"), WEEKDAY)
    num_items, floats_per_pair = 3, 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.queries: list[Query] = []

    def score_all(self, query: Query, trends: Tensor | None = None) -> Tensor:
        self.queries.append(query)
        return self.weight * torch.ones(len(query.user), self.num_items)

    def score_unseen(self, query: Query, trends: Tensor | None = None) -> Tensor:
        return self.score_all(query, trends)


@pytest.mark.parametrize(
    "loss",
    [FullSoftmax(batch_size=4), NextPurchases(batch_size=4, horizon_days=2)],
    ids=["full_softmax", "next_purchases"],
)
def test_losses_of_whole_histories_give_every_declared_input(loss):
    units = np.array([1, 2, 7, 4, 5, 6, 1, 1, 1, 1], dtype=np.float32)
    data = index_phase(replace(dataset(), quantity=units), "test", Phase(np.arange(6), []))
    network = Shopper()
    objective = loss.objective(network, data.interactions, seed=0)
    for batch in objective.batches(torch.device("cpu"), lambda: 0, ALONE):
        objective.loss(network, batch)
    asked = [query for query in network.queries if len(query.user)]
    assert asked
    by_item = {(0, 0): 1.0, (0, 1): 2.0 + 4.0, (1, 1): 7.0, (1, 2): 5.0, (2, 2): 6.0}
    by_event = {(0, 1): (2.0, 4.0)}
    for query in asked:
        assert query.days().shape == query.history.shape == query["history_quantity"].shape
        incomes = query["users.income"].tolist()
        assert incomes == [[0, 1, 2][user] for user in query.user.tolist()]
        assert len(query["time.weekday"]) == len(query.user)
        for row, user in enumerate(query.user.tolist()):
            bought = zip(query.history[row].tolist(), query["history_quantity"][row], strict=True)
            for item, quantity in bought:
                wanted = (by_item.get((user, item), 0.0), *by_event.get((user, item), ()))
                assert float(quantity) in wanted


def test_it_is_judged_exported_and_asked(tmp_path):
    data = phase()
    network = model(data).eval()
    assert evaluate(network, data, ks=(1,)).metrics["all/users"] == 2
    inputs = InputVocabulary(columns=data.columns)
    inputs.save(tmp_path / "inputs.npz", network)
    history = data.histories.history
    folder = write_recommender_bundle(
        tmp_path / "bundle",
        model=network,
        user_ids=data.vocabulary.user_ids,
        item_ids=data.vocabulary.item_ids,
        inputs=InputVocabulary.load(tmp_path / "inputs.npz"),
        popularity=data.interactions.buyers.numpy(),
        history_indptr=history.indptr.numpy(),
        history_items=history.values.numpy(),
        include_seen=False,
        item_names=None,
        provenance={},
    )
    assert verify(folder).cases > 0
    bundle = Bundle(folder)
    declared = {entry["name"]: entry for entry in bundle.manifest["inputs"]}
    assert declared["users.income"]["source"] == "users.income"
    assert (declared["time.hour"]["type"], declared["time.hour"]["dims"]) == ("float32", ["batch"])
    assert b"ann" not in (folder / "model.onnx").read_bytes()
    query = RankingEvaluator(data, views=("all",), ks=(1,), device=torch.device("cpu")).query(
        network, torch.tensor([0, 1])
    )
    with torch.no_grad():
        want = network.score_all(query).sort(dim=1, descending=True).values
    _, scores = bundle.recommend(
        ["ann", "bob"],
        k=3,
        inputs={"users.income": ["high", "low"], "context.coupons": [7.0, 8.0]},
        at=[datetime(1970, 1, 5, 9), datetime(1970, 1, 6, 1)],
    )
    np.testing.assert_allclose(scores, want.numpy(), atol=1e-5)


def test_a_query_holds_what_is_declared_and_slices_all_of_it():
    both = SimpleNamespace(inputs=(USER, HISTORY, WEEKDAY))
    user, history = torch.arange(3), torch.ones(3, 2, dtype=torch.int64)
    query = query_of(both, user, {"time.weekday": torch.ones(3), "more": user}, history, history)
    assert query.age is None
    assert list(query.columns) == ["time.weekday"]
    part = query.rows(torch.tensor([True, False, True]))
    assert part.user.tolist() == [0, 2]
    assert part.history.shape == (2, 2)
    assert len(part["time.weekday"]) == 2
    with pytest.raises(KeyError, match="declare it in the model's `inputs`"):
        query["users.income"]
    with pytest.raises(ValueError, match="reads time.weekday, which is not given"):
        query_of(both, user, {}, history)
