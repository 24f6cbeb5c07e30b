"""What users with the same attributes buy, backed off to what all buy."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from recsys.data.attributes import AttributeTable
from recsys.data.cleaning import Cleaning, clean_transactions
from recsys.data.interactions import PhaseData, index_phase
from recsys.data.report import DataReport
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError
from recsys.models.inputs import InputVocabulary, Query
from recsys.models.recommenders.segment_popularity import SegmentPopularity

# of 40 users half are "f"; all buy x, every "f" also y, every fourth "m" z
USERS = [f"u{place:02}" for place in range(40)]
SEX = ["f" if place < 20 else "m" for place in range(39)] + [None]
AGE = [float(place) for place in range(39)] + [None]
PURCHASES = [(user, "x") for user in USERS]
PURCHASES += [(user, "y") for user in USERS[:20]] + [(user, "z") for user in USERS[20::4]]
X, Y, Z = range(3)


@pytest.fixture
def phase() -> PhaseData:
    table = pa.Table.from_pandas(pd.DataFrame(PURCHASES, columns=["user_id", "item_id"]))
    people = pd.DataFrame({"user_id": USERS, "sex": SEX, "age": AGE, "name": USERS})
    kinds = {"sex": "category", "age": "number", "name": "category"}
    users = AttributeTable(people, kinds=kinds)  # type: ignore[arg-type]
    read = clean_transactions(table, DataReport("rows"), Cleaning(), users=users)
    rows = np.arange(len(read))
    return index_phase(read, "full_data", Phase(rows, rows[:0]))


def built(phase: PhaseData, **settings: object) -> SegmentPopularity:
    inputs = InputVocabulary(columns=phase.columns)
    model = SegmentPopularity(40, 3, inputs, **settings)  # type: ignore[arg-type]
    model.fit(phase.interactions)
    return model.eval()


def scores(model: SegmentPopularity, **columns: list[float]) -> torch.Tensor:
    values = {
        f"users.{name}": torch.tensor(each, dtype=torch.int64 if name == "sex" else torch.float32)
        for name, each in columns.items()
    }
    rows = len(next(iter(values.values())))
    history = torch.zeros(rows, 0, dtype=torch.int64)
    return model.score_all(Query(torch.full((rows,), 40), history, None, values))


def test_a_segment_is_mixed_with_everybody_by_hand(phase):
    found = scores(built(phase, columns=["sex"], smoothing=10), sex=[0, 1, 2])
    assert found[0].tolist() == pytest.approx([1, (20 + 10 * 20 / 40) / 30, (0 + 10 * 5 / 40) / 30])
    # nineteen are known to be "m"; five of them buy z
    assert found[1].tolist() == pytest.approx([1, (0 + 10 * 20 / 40) / 29, (5 + 10 * 5 / 40) / 29])
    assert found[2].tolist() == pytest.approx([1, 20 / 40, 5 / 40])  # nothing is known


def test_without_smoothing_only_the_segment_counts(phase):
    found = scores(built(phase, columns=["sex"], smoothing=0), sex=[0, 1])
    assert found[0].tolist() == [1, 1, 0]
    assert found[1].tolist() == pytest.approx([1, 0, 5 / 19])


def test_numbers_are_ranges_and_columns_are_averaged(phase):
    model = built(phase, columns=["sex", "age"], smoothing=0)
    # 39 ages, ten ranges: the lowest holds 0 to 3, all of whom buy y
    assert scores(model, sex=[1], age=[2.0])[0].tolist() == pytest.approx([1, 1 / 2, 5 / 19 / 2])
    unknown = scores(model, sex=[1], age=[float("nan")])[0]
    assert unknown.tolist() == pytest.approx([1, (0 + 1 / 2) / 2, (5 / 19 + 1 / 8) / 2])


def test_columns_that_say_who_somebody_is_are_left_out(phase):
    assert [each.name for each in built(phase).inputs] == ["users.sex", "users.age"]
    named = built(phase, columns=["name"])
    assert [each.name for each in named.inputs] == ["users.name"]


def test_data_without_attributes_are_told(purchases):
    read = purchases(PURCHASES)
    rows = np.arange(len(read))
    inputs = InputVocabulary(columns=index_phase(read, "test", Phase(rows, rows[:0])).columns)
    with pytest.raises(ConfigError, match="segment_popularity reads attributes of users.*data.use"):
        SegmentPopularity(40, 3, inputs)


def test_a_stored_model_reads_its_columns_in_the_order_in_which_it_was_fitted(tmp_path, phase):
    # a number between categories, whose kinds alone would put it last
    people = ["name", "age", "sex"]
    inputs = InputVocabulary(columns=phase.columns)
    model = SegmentPopularity(40, 3, inputs, people)
    model.fit(phase.interactions)
    inputs.save(tmp_path / "inputs.npz", model)
    stored = InputVocabulary.load(tmp_path / "inputs.npz")
    assert stored.user_inputs() == inputs.user_inputs(people) == model.inputs
    again = SegmentPopularity(40, 3, stored)
    assert [each.name for each in again.inputs] == ["users.age", "users.sex"]  # a name says who
    again = SegmentPopularity(40, 3, stored, people)
    again.load_state_dict(model.state_dict())
    # two parts of a blend read one column once
    assert len(set((*again.inputs, *SegmentPopularity(40, 3, stored, people).inputs))) == 3
    columns = {"name": [3.0, 40.0], "age": [3.0, 30.0], "sex": [0.0, 1.0]}
    query = Query(
        torch.full((2,), 40),
        torch.zeros(2, 0, dtype=torch.int64),
        None,
        {
            f"users.{name}": torch.tensor(values) if name == "age" else torch.tensor(values).long()
            for name, values in columns.items()
        },
    )
    assert torch.equal(again.eval().score_all(query), model.eval().score_all(query))
