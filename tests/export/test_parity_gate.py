"""The gate between torch and the graph: each kind of disagreement is refused."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from recsys.errors import ExportError
from recsys.export.recommender.histories import Histories
from recsys.export.recommender.parity import Catalogue, check_parity

HISTORIES = Histories(np.array([0, 3, 3, 5, 6, 7, 8, 10]), np.array([3, 3, 8, 4, 9, 1, 2, 0, 5, 5]))


class Altered:
    """A session whose answers are changed before they are returned."""

    def __init__(self, session: onnxruntime.InferenceSession, change: Any) -> None:
        self._session, self._change = session, change

    def run(self, names: list[str], feeds: dict[str, Any]) -> Any:
        item_id, score = self._session.run(names, feeds)
        return self._change(item_id.copy(), score.copy())


def test_agreeing_graphs_pass(
    factors_session: onnxruntime.InferenceSession,
    counts_session: onnxruntime.InferenceSession,
    factors: nn.Module,
    counts: nn.Module,
    vocabulary: Catalogue,
) -> None:
    assert check_parity(factors_session, factors, vocabulary, HISTORIES) < 1e-5  # type: ignore[arg-type]
    assert check_parity(counts_session, counts, vocabulary, HISTORIES) == 0  # type: ignore[arg-type]


def test_other_weights_are_refused_naming_the_worst_difference(
    factors_session: onnxruntime.InferenceSession, factors: Any, vocabulary: Catalogue
) -> None:
    with torch.no_grad():
        factors.item.weight[4] += 0.001
    with pytest.raises(ExportError, match="'NA' for user .* has the score .* worst difference"):
        check_parity(factors_session, factors, vocabulary, HISTORIES)


def test_missing_fallback_is_refused(
    factors_session: onnxruntime.InferenceSession, factors: Any, vocabulary: Catalogue
) -> None:
    other = vocabulary._replace(popularity=vocabulary.popularity + 1)
    with pytest.raises(ExportError, match=r"for user 'Zoë Müller\?' has the score"):
        check_parity(factors_session, factors, other, HISTORIES)


def test_training_mode_is_no_reference(
    factors_session: onnxruntime.InferenceSession, factors: Any, vocabulary: Catalogue
) -> None:
    with pytest.raises(ExportError, match="disagrees with torch"):
        check_parity(factors_session, factors.train(), vocabulary, HISTORIES)


def _swap_first(items: Any, scores: Any) -> Any:
    items[:, :2] = items[:, 1::-1] if items.shape[1] > 1 else items[:, :2]
    return items, scores


def _swap_first_with_scores(items: Any, scores: Any) -> Any:
    if items.shape[1] > 1:
        items[:, :2], scores[:, :2] = items[:, 1::-1], scores[:, 1::-1].copy()
    return items, scores


def _return_excluded(items: Any, scores: Any) -> Any:
    items[np.isneginf(scores)] = "milk"
    return items, scores


def _not_a_number(items: Any, scores: Any) -> Any:
    scores[~np.isneginf(scores)] = np.nan
    return items, scores


def _one_short(items: Any, scores: Any) -> Any:
    return items[:, 1:], scores[:, 1:]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_swap_first, "has the score .* worst difference"),
        (_swap_first_with_scores, "place 1 of user '.*' is '.*', not '"),
        (_return_excluded, "excluded item is returned"),
        (_not_a_number, "has the score nan"),
        (_one_short, "has the shape"),
    ],
)
def test_wrong_answers_are_refused(
    factors_session: onnxruntime.InferenceSession,
    factors: Any,
    vocabulary: Catalogue,
    change: Any,
    sentence: str,
) -> None:
    altered: Any = Altered(factors_session, change)
    with pytest.raises(ExportError, match=sentence):
        check_parity(altered, factors, vocabulary, HISTORIES)


def test_ties_that_go_to_the_higher_index_are_refused(
    counts_session: onnxruntime.InferenceSession, counts: Any, vocabulary: Catalogue
) -> None:
    def reverse_last_tie(items: Any, scores: Any) -> Any:
        if scores.shape[1] > 1 and (scores[:, 0] == scores[:, 1]).all():
            items[:, :2] = items[:, 1::-1]
        return items, scores

    altered: Any = Altered(counts_session, reverse_last_tie)
    with pytest.raises(ExportError, match="place [12] of user"):
        check_parity(altered, counts, vocabulary, HISTORIES)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(
    factors_session: onnxruntime.InferenceSession, factors: Any, vocabulary: Catalogue, odd: float
) -> None:
    with torch.no_grad():
        factors.item.weight[2] = odd
    with pytest.raises(ExportError, match="scores (nan|-?inf) for user .* finite"):
        check_parity(factors_session, factors, vocabulary, HISTORIES)
