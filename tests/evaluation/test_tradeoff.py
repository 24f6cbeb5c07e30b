"""NDCG against the diversity of lists, and what of it is measured of every run."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from scored_phases import ScoreTable, made_up_phase, phase_of, ragged

from recsys.evaluation import ranking, tradeoff
from recsys.evaluation.ranking import evaluate
from recsys.evaluation.tradeoff import DIVERSITIES, METHODS, diversity_tradeoff

CPU = torch.device("cpu")


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives the items of a phase terms, a list each."""

    def give(phase: Any, terms: list[list[int]]) -> Any:
        rows = ragged([*terms, []])
        for module in (ranking, tradeoff):
            monkeypatch.setattr(module, "terms_of_items", lambda _: rows)
        # a stand-in: only their being there is asked for
        return replace(phase, interactions=replace(phase.interactions, columns=phase))

    return give


def test_variety_is_bought_with_accuracy(described: Any) -> None:
    # items 0 and 1 are alike and wanted, item 2 is of another kind and is not
    phase = described(phase_of([[3], [3]], [[0, 1], [0, 1]], num_items=4), [[0], [0], [1], [1]])
    model = ScoreTable([[9, 8, 1, 0.0]] * 2)
    points = {
        (each.method, each.setting): each
        for each in diversity_tradeoff(model, phase, k=2, device=CPU)
    }
    assert list(points) == [(method, each) for method in METHODS for each in DIVERSITIES]
    plain, varied = points["mmr", 0.0], points["mmr", 0.9]
    assert (plain.ndcg, plain.diversity) == (1, 0)
    # (1) / (1 + 1 / log2(3)): the second place is a miss
    assert varied.ndcg == pytest.approx(1 / (1 + 0.6309297535714575))
    assert varied.diversity == 1
    assert points["dpp", 0.0] == plain._replace(method="dpp")
    assert points["dpp", 0.9].diversity == 1


def test_without_a_rule_it_is_the_ndcg_of_the_run(described: Any) -> None:
    phase, model = made_up_phase()
    phase = described(phase, [[item % 4, 4 + item % 3] for item in range(23)])
    plain = diversity_tradeoff(model, phase, k=5, device=CPU)[0]
    found = evaluate(model, phase, views=("new", "all"), ks=(5,)).metrics
    assert plain.ndcg == pytest.approx(found["new/ndcg@5"])
    assert plain.diversity == pytest.approx(found["new/diversity@5"], abs=0.05)
    assert {"new/serendipity@5", "all/diversity@5", "all/popularity_lift@5"} <= set(found)


def test_items_of_which_nothing_is_known_have_no_curve_and_no_diversity() -> None:
    phase, model = made_up_phase()
    assert diversity_tradeoff(model, phase, k=5, device=CPU) == []
    found = evaluate(model, phase, views=("new",), ks=(5,)).metrics
    assert "new/serendipity@5" in found
    assert not [name for name in found if "diversity" in name]


def test_popularity_lift_looks_at_what_each_user_bought() -> None:
    # item 0 has two buyers, item 1 one: users bought 1.5 and 2 on average, and are shown item 0
    phase = phase_of([[0, 1], [0]], [[2], [2]], num_items=3)
    found = evaluate(ScoreTable([[3, 2, 1]] * 2), phase, views=("all",), ks=(1,)).metrics
    assert found["all/popularity_lift@1"] == pytest.approx(2 / 1.75 - 1)
