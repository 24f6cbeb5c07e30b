"""The graph alone, run as another team would run it: strings in, strings out."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from recsys.errors import ExportError
from recsys.export.recommender.graph import build_graph
from recsys.export.recommender.parity import Catalogue
from recsys.models.inputs import HISTORY, Query

ITEMS_BY_POPULARITY = ["0012", "12", "a,b", 'say "hi"', "crème brûlée", "NA", " milk", "milk"]


def ask(
    session: onnxruntime.InferenceSession,
    users: list[str],
    k: int = 3,
    history: list[list[str]] | None = None,
    exclude: list[list[str]] | None = None,
    allowed: list[list[str]] | None = None,
) -> tuple[list[list[str]], np.ndarray[Any, Any]]:
    rows = len(users)
    item_id, score = session.run(
        ["item_id", "score"],
        {
            "user_id": np.array(users, dtype=object),
            "history": np.array(history or [[]] * rows, dtype=object).reshape(rows, -1),
            "exclude": np.array(exclude or [[]] * rows, dtype=object).reshape(rows, -1),
            "allowed": np.array(allowed or [[]], dtype=object).reshape(len(allowed or [[]]), -1),
            "k": np.array([k], dtype=np.int64),
        },
    )
    return item_id.tolist(), score


def test_contract_is_the_same_whatever_the_model_reads(
    factors_session: onnxruntime.InferenceSession, counts_session: onnxruntime.InferenceSession
) -> None:
    for session in (factors_session, counts_session):
        inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
        outputs = [(node.name, node.type, node.shape) for node in session.get_outputs()]
        assert inputs == [
            ("user_id", "tensor(string)", ["batch"]),
            ("history", "tensor(string)", ["batch", "history"]),
            ("exclude", "tensor(string)", ["batch", "excluded"]),
            ("allowed", "tensor(string)", ["allowed_lists", "allowed"]),
            ("k", "tensor(int64)", [1]),
        ]
        assert outputs == [
            ("item_id", "tensor(string)", ["batch", "k"]),
            ("score", "tensor(float)", ["batch", "k"]),
            ("answered_from", "tensor(string)", ["batch"]),
        ]


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64])
def test_one_graph_serves_every_batch_size(
    factors_session: onnxruntime.InferenceSession,
    counts_session: onnxruntime.InferenceSession,
    rows: int,
) -> None:
    one, _ = ask(factors_session, ["u6"])
    assert ask(factors_session, ["u6"] * rows)[0] == one * rows
    one, _ = ask(counts_session, ["?"], history=[["NA"]])
    assert ask(counts_session, ["?"] * rows, history=[["NA"]] * rows)[0] == one * rows


def test_unknown_user_gets_what_is_popular(factors_session: onnxruntime.InferenceSession) -> None:
    items, scores = ask(factors_session, ["nobody", "007"], k=10)
    assert items[0] == [*ITEMS_BY_POPULARITY, "日本", "last"]
    assert scores[0].tolist() == [9, 9, 6, 5, 4, 3, 2, 1, 0, 0]
    assert items[1] != items[0]


def test_odd_ids_are_kept_apart(factors_session: onnxruntime.InferenceSession) -> None:
    seven, _ = ask(factors_session, ["7"], k=10)
    padded, _ = ask(factors_session, ["007"], k=10)
    assert seven != padded
    items, _ = ask(factors_session, ["Zoë Müller", "名前", "NA"], k=10)
    assert all(sorted(row) == sorted(seven[0]) for row in items)
    assert items[0] != items[1] != items[2]


def test_history_speaks_and_the_user_id_does_not(
    counts_session: onnxruntime.InferenceSession,
) -> None:
    history = [["12", "日本", "12"], ["", "", "last"]]
    items, scores = ask(counts_session, ["007", "007"], history=history)
    assert items == [["12", "日本", "milk"], ["last", "milk", " milk"]]
    assert scores.tolist() == [[2, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("history", [[[]], [[""]], [["", "no such item"]]])
def test_history_without_a_known_item_gets_what_is_popular(
    counts_session: onnxruntime.InferenceSession, history: list[list[str]]
) -> None:
    items, _ = ask(counts_session, ["007"], history=history)
    assert items == [ITEMS_BY_POPULARITY[:3]]


def test_exact_ties_go_to_the_lower_item_index(
    counts_session: onnxruntime.InferenceSession, vocabulary: Catalogue
) -> None:
    # One item counts 1 and nine tie at 0, in every width of the ranking.
    catalogue = vocabulary.item_ids.tolist()
    want = ["NA", *(item for item in catalogue if item != "NA")]
    for k in range(11):
        assert ask(counts_session, ["?"], k, history=[["NA"]])[0] == [want[:k]]


def test_excluded_items_leave_empty_places_at_the_end(
    counts_session: onnxruntime.InferenceSession, vocabulary: Catalogue
) -> None:
    exclude = [["12", "", "no such item"], ["", "", ""]]
    items, scores = ask(counts_session, ["?", "?"], 10, [["12", "NA"]] * 2, exclude)
    assert items[0][0] == "NA"
    assert "12" not in items[0]
    assert items[0][-1] == ""
    assert scores[0].tolist() == [1, *[0] * 8, -np.inf]
    assert items[1][:2] == ["12", "NA"]
    assert "" not in items[1]
    everything = [vocabulary.item_ids.tolist()]
    items, scores = ask(counts_session, ["?"], 4, [["12"]], everything)
    assert items == [["", "", "", ""]]
    assert np.isneginf(scores).all()


def test_allowed_items_are_one_list_for_all_users_or_one_for_each(
    counts_session: onnxruntime.InferenceSession,
) -> None:
    history = [["12", "NA", "12"], ["last", "", ""]]
    shared = [["NA", "last", "", "no such item"]]
    items, scores = ask(counts_session, ["?", "?"], 3, history, allowed=shared)
    # "NA" stands once in the first history, "last" once in the second
    assert items == [["NA", "last", ""], ["last", "NA", ""]]
    assert scores.tolist() == [[1, 0, -np.inf], [1, 0, -np.inf]]
    each = [["12", "milk"], ["NA", ""]]
    items, _ = ask(counts_session, ["?", "?"], 2, history, allowed=each)
    assert items == [["12", "milk"], ["NA", ""]]


def test_a_list_of_padding_allows_everything_and_one_of_unknown_items_nothing(
    counts_session: onnxruntime.InferenceSession,
) -> None:
    history = [["12"]] * 3
    allowed = [["", ""], ["gone", ""], ["12", "gone"]]
    items, scores = ask(counts_session, ["?"] * 3, 2, history, allowed=allowed)
    assert items == [["12", "milk"], ["", ""], ["12", ""]]
    assert np.isneginf(scores).tolist() == [[False, False], [True, True], [False, True]]
    assert ask(counts_session, ["?"], 2, [["12"]], allowed=[[""]])[0] == [["12", "milk"]]


def test_excluded_items_are_not_allowed(counts_session: onnxruntime.InferenceSession) -> None:
    items, _ = ask(
        counts_session, ["?"], 3, [["12"]], exclude=[["12", ""]], allowed=[["12", "NA", "last"]]
    )
    assert items == [["NA", "last", ""]]


@pytest.mark.parametrize(("k", "width"), [(-3, 0), (0, 0), (1, 1), (10, 10), (11, 10), (10**9, 10)])
def test_k_is_clamped_to_the_catalogue(
    factors_session: onnxruntime.InferenceSession, k: int, width: int
) -> None:
    items, scores = ask(factors_session, ["007", "?"], k)
    assert scores.shape == (2, width)
    assert [len(row) for row in items] == [width, width]


def test_a_model_of_ids_computes_nothing_with_the_history(
    factors_session: onnxruntime.InferenceSession, factors_graph: onnx.ModelProto
) -> None:
    assert not [node.name for node in factors_graph.graph.node if "history" in node.input]
    bare, _ = ask(factors_session, ["007"], 10)
    assert ask(factors_session, ["007"], 10, history=[["12", "NA"]])[0] == bare


def test_graph_holds_no_path_no_stack_and_fixed_versions(factors_graph: onnx.ModelProto) -> None:
    model = factors_graph
    assert (model.ir_version, model.producer_name) == (10, "recsys")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    assert opsets == {"": 20, "ai.onnx.ml": 3}
    content = model.SerializeToString()
    for trace in (str(Path.cwd()), str(Path.home()), "site-packages", ".py", "File ", "pkg.torch"):
        assert trace.encode() not in content
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    onnx.checker.check_model(model, full_check=True)


def test_graph_is_the_same_each_time(
    factors_graph: onnx.ModelProto, factors: nn.Module, vocabulary: Catalogue
) -> None:
    again = build_graph(factors, *vocabulary)  # type: ignore[arg-type]
    assert again.SerializeToString() == factors_graph.SerializeToString()


class Branching(nn.Module):
    """Decides by the data, which no graph can follow."""

    inputs = (HISTORY,)
    floats_per_pair = 1
    num_users, num_items = 7, 10

    def score_all(self, query: Query) -> Tensor:
        if query.history.sum() > 3:
            return torch.zeros(len(query.history), 10)
        return torch.ones(len(query.history), 10)


class FixedLength(nn.Module):
    """Takes the length of the traced history for the length of every history."""

    inputs = (HISTORY,)
    floats_per_pair = 1
    num_users, num_items = 7, 10

    def score_all(self, query: Query) -> Tensor:
        return query.history.reshape(-1, 5).float() @ torch.ones(5, 10)


@pytest.mark.parametrize("model", [Branching(), FixedLength()])
def test_model_without_a_free_graph_is_refused_with_a_sentence(
    model: nn.Module, vocabulary: Catalogue
) -> None:
    with pytest.raises(ExportError, match="^(the graph of )?(Branching|FixedLength)") as caught:
        build_graph(model, *vocabulary)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
