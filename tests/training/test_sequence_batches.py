"""Segments of histories: every purchase but the first is predicted once."""

from collections import Counter

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.ragged import Ragged
from recsys.data.shards import ALONE, Shard
from recsys.errors import DataError
from recsys.training.losses.next_item import NextItem, NextItemObjective, SequenceBatch

# user 1 bought nothing, user 3 one thing; items tell the places of a user apart
LENGTHS = [7, 0, 2, 1, 4, 9]
ITEMS = sum(LENGTHS)
USER = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
DATA = Interactions(Ragged.from_sorted(USER, np.arange(ITEMS), len(LENGTHS)), ITEMS)


def batches(
    data: Interactions = DATA, epoch: int = 0, shard: Shard = ALONE, num_negatives: int = 0
) -> list[SequenceBatch]:
    objective = NextItemObjective(data, NextItem(2, num_negatives), max_length=3, seed=1)
    made = objective.batches(torch.device("cpu"), lambda: epoch, shard)
    found = list(made)
    assert len(found) == len(made)
    return found


def pairs(found: list[SequenceBatch]) -> list[tuple[int, int]]:
    """(purchase, the one before) of everything that is predicted."""
    return [
        (after, before)
        for batch in found
        for row in batch.items.tolist()
        for before, after in zip(row, row[1:], strict=False)
        if before < ITEMS
    ]


def test_every_purchase_but_the_first_is_predicted_once_from_the_one_before() -> None:
    expected = [(place, place - 1) for place in range(1, ITEMS) if USER[place] == USER[place - 1]]
    assert Counter(pairs(batches())) == Counter(expected)


def test_segments_are_cut_from_the_end_and_padded_on_the_left() -> None:
    rows = {tuple(row) for batch in batches() for row in batch.items.tolist()}
    trimmed = {tuple(item for item in row if item < ITEMS) for row in rows}
    assert {(3, 4, 5, 6), (0, 1, 2, 3), (7, 8)} <= trimmed
    for row in rows:
        assert sorted(item == ITEMS for item in row)[::-1] == [item == ITEMS for item in row]


def test_a_batch_is_compared_with_items_of_the_whole_catalogue() -> None:
    for batch in batches(num_negatives=200):
        assert batch.negatives.shape == (200,)
        assert set(batch.negatives.tolist()) == set(range(ITEMS))


def test_an_epoch_repeats_itself_and_the_next_differs() -> None:
    def rows(epoch: int) -> list[list[list[int]]]:
        return [batch.items.tolist() for batch in batches(epoch=epoch)]

    assert rows(2) == rows(2)
    assert rows(2) != rows(3)


def test_two_processes_share_the_segments() -> None:
    shares = [set(pairs(batches(shard=Shard(rank, 2)))) for rank in (0, 1)]
    assert shares[0] | shares[1] == set(pairs(batches()))
    assert shares[0] != shares[1]


def test_data_without_a_second_purchase_is_refused() -> None:
    alone = Interactions(Ragged.from_sorted(np.arange(3), np.arange(3), 3), 3)
    with pytest.raises(DataError, match="no user of the fitted part has two"):
        batches(alone)
