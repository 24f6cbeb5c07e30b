"""Lists from pools: variety, calibration and limits, against slow computations from the papers."""

import itertools

import numpy as np
import pytest

from recsys.inference.reranking import (
    Calibrated,
    Cap,
    Dpp,
    Exposure,
    Limits,
    Mmr,
    Relevance,
    TermSimilarity,
    VectorSimilarity,
    choose_lists,
)


def mmr(relevance, similarity, k, diversity):
    is_item = np.ones(relevance.shape, dtype=bool)
    return choose_lists(Mmr(relevance, similarity, diversity), is_item, k)


def dpp(relevance, similarity, k, diversity):
    is_item = np.ones(relevance.shape, dtype=bool)
    return choose_lists(Dpp(relevance, similarity, diversity, k, is_item), is_item, k)


def data_of_pyversity(seed: int, items: int, size: int, copies: int = 0):
    """Unit vectors and relevance, drawn as for the answers that pyversity records."""
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((items, size)).astype(np.float32)
    if copies:
        noise = generator.normal(0, 0.01, (copies, size)).astype(np.float32)
        vectors = np.vstack([vectors, vectors[:copies] + noise])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[None], generator.uniform(0.1, 1.0, len(vectors)).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("method", "diversity", "data", "answer"),
    [
        (mmr, 0.5, (42, 20, 8), [14, 6, 16, 4, 15]),
        (mmr, 1.0, (42, 20, 8), [14, 4, 5, 8, 10]),
        (dpp, 0.5, (42, 20, 8), [14, 10, 18, 4, 6]),
        (dpp, 1.0, (42, 20, 8), [0, 3, 13, 19, 12]),
        (mmr, 0.5, (123, 45, 32, 5), [34, 44, 0, 8, 11, 2, 33, 21]),
        (dpp, 0.5, (123, 45, 32, 5), [34, 11, 44, 41, 0, 14, 21, 2]),
    ],
)
def test_mmr_and_dpp_give_the_answers_that_pyversity_records(
    method, diversity, data, answer
) -> None:
    vectors, relevance = data_of_pyversity(*data)
    found = method(relevance, VectorSimilarity(vectors), len(answer), diversity)
    assert found.tolist() == [answer]


@pytest.mark.parametrize("diversity", [0.1, 0.3, 0.7, 1.0])
def test_mmr_and_dpp_agree_with_pyversity_where_it_is_installed(diversity: float) -> None:
    pyversity = pytest.importorskip("pyversity")
    vectors, relevance = data_of_pyversity(5, 60, 12)
    for ours, theirs in ((mmr, pyversity.Strategy.MMR), (dpp, pyversity.Strategy.DPP)):
        want = pyversity.diversify(vectors[0], relevance[0], 10, theirs, diversity=diversity)
        found = ours(relevance, VectorSimilarity(vectors), 10, diversity)
        assert found[0].tolist() == want.indices.tolist()


def some_users(users=7, items=15, size=4, seed=0):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(users, items, size)).astype(np.float32)
    return vectors, generator.random((users, items), dtype=np.float32)


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.8])
def test_mmr_is_carbonells_and_goldsteins_formula(diversity: float) -> None:
    vectors, relevance = some_users()
    found = mmr(relevance, VectorSimilarity(vectors), 6, diversity)
    for user in range(len(relevance)):
        alike, chosen = np.clip(cosines(vectors[user]), 0, 1), []
        for _ in range(6):
            gains = {
                item: (1 - diversity) * relevance[user, item]
                - diversity * max((alike[item, other] for other in chosen), default=0)
                for item in range(15)
                if item not in chosen
            }
            chosen.append(max(gains, key=gains.__getitem__))
        assert found[user].tolist() == chosen


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.8])
def test_dpp_lets_the_determinant_grow_most_at_each_place(diversity: float) -> None:
    vectors, relevance = some_users()
    # four dimensions hold four items: a fifth would be on the plane of the others
    found = dpp(relevance, VectorSimilarity(vectors), 4, diversity)
    for user in range(len(relevance)):
        scores = relevance[user].astype(float)
        weight = np.exp((1 - diversity) * (scores - scores.mean()) / scores.std())
        kernel = weight[:, None] * cosines(vectors[user].astype(float)) * weight
        chosen: list[int] = []
        for _ in range(4):
            grown = {
                item: np.linalg.det(kernel[np.ix_([*chosen, item], [*chosen, item])])
                for item in range(15)
                if item not in chosen
            }
            chosen.append(max(grown, key=grown.__getitem__))
        assert found[user].tolist() == chosen


def test_dpp_goes_on_by_relevance_where_all_is_alike() -> None:
    same = np.ones((1, 5, 3), dtype=np.float32)
    relevance = np.array([[0.2, 0.9, 0.1, 0.5, 0.4]], dtype=np.float32)
    found = dpp(relevance, VectorSimilarity(same), 5, 0.5)
    assert sorted(found[0].tolist()) == [0, 1, 2, 3, 4]
    assert found[0, 0] == 1


@pytest.mark.filterwarnings("error")
def test_dpp_does_not_overflow_where_a_long_list_takes_items_that_are_alike() -> None:
    # three kinds of items, ten of each: from the fourth place on nothing is new
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)[None]
    relevance = np.linspace(0, 1, 30, dtype=np.float32)[None]
    relevance[0, 0] = 9  # far above the others
    found = dpp(relevance, VectorSimilarity(vectors), 30, 0.1)[0]
    assert {place // 10 for place in found[:3].tolist()} == {0, 1, 2}
    assert sorted(found.tolist()) == list(range(30))
    # then by relevance
    assert found[3:].tolist() == sorted(found[3:].tolist(), key=lambda item: -relevance[0, item])


def test_terms_are_as_alike_as_their_sets() -> None:
    # {0, 1}, {1, 2, 3}, {} and {0, 1}; 4 pads
    terms = np.array([[[0, 1, 4], [1, 2, 3], [4, 4, 4], [0, 1, 4]]], dtype=np.int32)
    for repeats in (1, 200):  # few are compared at once, many place by place
        similarity = TermSimilarity(np.repeat(terms, repeats, axis=0), 4)
        assert (similarity._pairs is None) == (repeats > 1)
        for chosen, want in ((0, [1, 1 / 6**0.5, 0, 1]), (2, [0, 0, 0, 0])):
            found = similarity.to(np.full(repeats, chosen))
            assert np.allclose(found, want)


def test_at_most_so_many_of_a_term() -> None:
    # one category: 0 0 0 1 1 -, then tags {0, 1} {0} {1} {} with at most one each
    relevance = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]], dtype=np.float32)
    category = np.array([[0, 0, 0, 1, 1, 2]], dtype=np.int32)[:, :, None]
    is_item = np.ones((1, 6), dtype=bool)
    lists = choose_lists(Relevance(relevance), is_item, 6, Limits([Cap(category, 2, 1)]))
    assert lists.tolist() == [[0, 3, 5, -1, -1, -1]]
    lists = choose_lists(Relevance(relevance), is_item, 4, Limits([Cap(category, 2, 2)]))
    assert lists.tolist() == [[0, 1, 3, 4]]
    tags = np.array([[[0, 1], [0, 2], [1, 2], [2, 2]]], dtype=np.int32)
    lists = choose_lists(Relevance(relevance[:, :4]), is_item[:, :4], 4, Limits([Cap(tags, 2, 1)]))
    assert lists.tolist() == [[0, 3, -1, -1]]


def test_an_item_comes_on_no_more_lists_than_it_may_and_where_it_counts_most() -> None:
    # all want item 0, then item 1; at most two of four lists may have one
    relevance = np.array(
        [[0.9, 0.8, 0.1], [0.95, 0.3, 0.2], [0.7, 0.6, 0.5], [0.99, 0.9, 0.0]], dtype=np.float32
    )
    items = np.tile(np.arange(3), (4, 1))
    exposure = Exposure(3, 2)
    limits = Limits((), exposure, items)
    is_item = np.ones((4, 3), dtype=bool)
    lists = choose_lists(Relevance(relevance), is_item, 1, limits)
    # item 0 to .99 and .95; item 1 to .8 and .6
    assert lists[:, 0].tolist() == [1, 0, 1, 0]
    exposure.withdraw(items[[3], lists[3]])
    again = Limits((), exposure, items[3:])
    assert choose_lists(Relevance(relevance[3:]), is_item[3:], 3, again).tolist() == [[0, 2, -1]]


@pytest.mark.parametrize("weight", [0.3, 0.7, 0.99])
def test_calibration_is_stecks_objective_at_each_place(weight: float) -> None:
    generator = np.random.default_rng(1)
    relevance = generator.random((3, 9), dtype=np.float32)
    # of 4 genres an item has one or two; 4 pads
    terms = np.array(
        [[[generator.integers(4), 4] for _ in range(8)] + [[1, 3]] for _ in range(3)],
        dtype=np.int32,
    )
    mix = generator.dirichlet(np.ones(4), 3).astype(np.float32)
    mix[0] = [0.75, 0.25, 0, 0]
    objective = Calibrated(Relevance(relevance), mix, terms, weight)
    found = choose_lists(objective, np.ones((3, 9), dtype=bool), 5)
    for user in range(3):
        chosen: list[int] = []
        for _ in range(5):
            value = {}
            for item in set(range(9)) - set(chosen):
                shown = np.zeros(4)
                for each in (*chosen, item):
                    genres = [term for term in terms[user, each] if term < 4]
                    shown[genres] += 1 / len(genres)
                p = mix[user].astype(float)
                q = 0.99 * shown / (len(chosen) + 1) + 0.01 * p
                divergence = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
                total = sum(float(relevance[user, each]) for each in (*chosen, item))
                value[item] = (1 - weight) * total - weight * divergence
            chosen.append(max(value, key=value.__getitem__))
        assert found[user].tolist() == chosen


def test_a_calibrated_list_has_the_mix_of_the_customer() -> None:
    # three quarters of what was bought is genre 0, all that is relevant is genre 1
    relevance = np.array([[0.1] * 8 + [1.0] * 8], dtype=np.float32)
    terms = np.array([[0] * 8 + [1] * 8], dtype=np.int32)[:, :, None]
    mix = np.array([[0.75, 0.25]], dtype=np.float32)
    objective = Calibrated(Relevance(relevance), mix, terms, 0.99)
    found = choose_lists(objective, np.ones((1, 16), dtype=bool), 8)
    assert (found < 8).sum() == 6


def test_users_do_not_matter_to_each_other() -> None:
    vectors, relevance = some_users()
    together = mmr(relevance, VectorSimilarity(vectors), 5, 0.4)
    for user, (one, rel) in enumerate(itertools.zip_longest(vectors, relevance)):
        assert mmr(rel[None], VectorSimilarity(one[None]), 5, 0.4)[0].tolist() == (
            together[user].tolist()
        )
