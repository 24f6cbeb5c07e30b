"""Published data to the split that both sides are given, and back to what our code works on."""

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.generated import write_transactions
from benchmarks.split import PairSplit
from recsys.data.dataset import Dataset
from recsys.data.ids import Vocabulary
from recsys.data.interactions import Interactions, PhaseData, index_phase
from recsys.data.ragged import Ragged
from recsys.data.sources.movielens import movielens_100k
from recsys.data.sources.presplit import presplit
from recsys.data.sources.transactions import transactions
from recsys.data.splits.leave_last_out import LeaveLastOut
from recsys.data.splits.phase import Split
from recsys.data.splits.presplit import Presplit

SEED = 1
# purchases, customers and articles of the made-up shop: many articles, few purchases of each
GENERATED = 800_000, 30_000, 40_000


def asked_phase(data: str, part: str = "test") -> PhaseData:
    """The test of MovieLens: the last film of each user (100K), the published one (1M, the split of
    the NCF paper, ranked against the whole catalogue); the last purchase of each customer of a
    made-up shop. `part` "val" is what settings are chosen on, where there is one.
    """
    dataset, split = _source(data)
    with warnings.catch_warnings():
        # that leaving out the last leaks time is the same for both sides
        warnings.simplefilter("ignore")
        phases = split(dataset, SEED)
    return index_phase(dataset, part, phases[part])


def _source(data: str) -> tuple[Dataset, Split]:
    if data == "movielens_100k":
        return movielens_100k(), LeaveLastOut()
    if data == "generated":
        with tempfile.TemporaryDirectory() as written:
            file = Path(written) / "transactions.parquet"
            write_transactions(file, *GENERATED, SEED)
            return transactions(str(file), {"timestamp": "timestamp"}), LeaveLastOut()
    folder = Path(os.environ.get("RECSYS_DATA", "data")) / "movielens_1m_ncf"
    where = (
        "repack ml-1m.train.rating and ml-1m.test.rating from"
        " github.com/hexiangnan/neural_collaborative_filtering as train.parquet and test.parquet"
        f" (user_id, item_id) into {folder}, or set RECSYS_DATA to the folder above"
    )
    train, test = (str(folder / f"{part}.parquet") for part in ("train", "test"))
    return presplit(train, test, where=where), Presplit()


def pairs_of(phase: PhaseData) -> PairSplit:
    """What is handed over: distinct pairs, and of the truth those that were not fitted."""
    sizes = phase.vocabulary.num_users, phase.vocabulary.num_items
    train, test = (
        _sorted_pairs(rows).numpy() for rows in (phase.interactions.distinct, phase.truth)
    )
    is_new = ~np.isin(test @ (sizes[1], 1), train @ (sizes[1], 1))
    return PairSplit(*sizes, *train.T.copy(), *test[is_new].T.copy())


def phase_of(split: PairSplit) -> PhaseData:
    """A phase of these pairs, whose ids are the indices."""
    ids = (
        np.arange(size).astype(str).astype(object) for size in (split.num_users, split.num_items)
    )
    history = Ragged.from_sorted(split.train_user, split.train_item, split.num_users)
    truth = Ragged.from_sorted(split.test_user, split.test_item, split.num_users)
    interactions = Interactions(history, split.num_items)
    return PhaseData("test", Vocabulary(*ids), interactions, truth, None, {})


def _sorted_pairs(rows: Ragged) -> Tensor:
    """(P, 2): row and value."""
    row, value = rows.take(torch.arange(len(rows)))
    return torch.stack([row, value], dim=1)
