"""A phase and a model written down as tables."""

import numpy as np
import torch
from torch import Tensor, nn

from recsys.data.ids import Vocabulary
from recsys.data.interactions import Candidates, Interactions, PhaseData
from recsys.data.ragged import Ragged
from recsys.models.inputs import USER, Query


def ragged(rows: list[list[int]]) -> Ragged:
    """Rows as they stand."""
    row = np.repeat(np.arange(len(rows)), [len(values) for values in rows])
    return Ragged.from_sorted(
        row, np.array([v for values in rows for v in values], dtype=np.int64), len(rows)
    )


def phase_of(
    bought: list[list[int]],
    truth: list[list[int]],
    num_items: int,
    candidates: Candidates | None = None,
) -> PhaseData:
    """Histories and truth of every user, as item indices."""
    vocabulary = Vocabulary(
        np.array([f"u{user}" for user in range(len(bought))], dtype=object),
        np.array([f"i{item}" for item in range(num_items)], dtype=object),
    )
    history = Interactions(ragged(bought), num_items)
    return PhaseData(
        "test", vocabulary, history, ragged([sorted(row) for row in truth]), candidates, {}
    )


class ScoreTable(nn.Module):
    """Says what it is told: scores (U, I)."""

    inputs = (USER,)

    def __init__(self, scores: list[list[float]] | Tensor, floats_per_pair: int = 1) -> None:
        super().__init__()
        self.register_buffer("scores", torch.as_tensor(scores, dtype=torch.float32))
        self.num_users, self.num_items = self.scores.shape
        self.floats_per_pair = floats_per_pair

    def forward(self, query: Query, items: Tensor) -> Tensor:
        return self.scores[query.user].gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        return self.scores[query.user]


def made_up_phase(
    num_users: int = 37, num_items: int = 23, seed: int = 0
) -> tuple[PhaseData, ScoreTable]:
    """Random purchases, some users without truth, and scores with many ties."""
    rng = np.random.default_rng(seed)
    bought = [
        rng.choice(num_items, rng.integers(1, 8), replace=False).tolist() for _ in range(num_users)
    ]
    truth = [
        rng.choice(num_items, rng.integers(0, 5), replace=False).tolist() for _ in range(num_users)
    ]
    scores = torch.from_numpy(rng.integers(-3, 4, (num_users, num_items)).astype(np.float32))
    return phase_of(bought, truth, num_items), ScoreTable(scores)
