"""Recurrent networks become one operator per layer, whose numbers are torch's."""

from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from recsys.export.onnx.recurrent import recurrent_operators
from recsys.export.onnx.tracing import checked, trace, translate

LSTM, GRU = nn.LSTM, nn.GRU


class Reader(nn.Module):
    """Reads a sequence, goes on from its state, and gives both."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], layers: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = kind(3, 5, layers, batch_first=True)
        self.second = kind(5, 5, layers, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states, end = self.first(x)
        after, last = self.second(states[:, -2:], end)
        last = last[0] if isinstance(last, tuple) else last
        return torch.cat([states.sum(dim=1), after.flatten(1), last.sum(dim=0)], dim=1)


def exported(model: nn.Module) -> onnxruntime.InferenceSession:
    dims = ({0: Dim("batch"), 1: Dim("time", min=2)},)
    program = trace(model.eval(), (torch.zeros(3, 7, 3),), dims, "Reader")
    graph = checked(translate(program, ["x"], ["y"], "Reader"), "Reader", fixed=[("x", 2)])
    kinds = [node.op_type for node in graph.graph.node]
    assert not {"Loop", "Scan"} & set(kinds)
    expected = sum(module.num_layers for module in (model.first, model.second))
    assert kinds.count(type(model.first).__name__) == expected
    return onnxruntime.InferenceSession(graph.SerializeToString())


@pytest.mark.parametrize(("kind", "layers"), [(LSTM, 1), (LSTM, 2), (GRU, 1), (GRU, 3)])
def test_the_graph_answers_as_torch_does_for_every_batch_and_length(kind, layers):
    model = Reader(kind, layers)
    session = exported(model)
    generator = np.random.default_rng(0)
    for batch, time in ((1, 2), (4, 9), (17, 30)):
        x = generator.normal(size=(batch, time, 3)).astype(np.float32)
        with torch.no_grad():
            want = model(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(session.run(None, {"x": x})[0], want, rtol=1e-5, atol=1e-5)


def test_a_second_export_of_one_process_keeps_its_free_axes():
    for left, right in pairwise([exported(Reader(LSTM, 1)) for _ in range(2)]):
        assert left.get_inputs()[0].shape[:2] == right.get_inputs()[0].shape[:2]
        assert all(isinstance(size, str) for size in right.get_inputs()[0].shape[:2])


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_modules_answer_as_before_within_and_are_whole_again_behind(kind):
    model, x = Reader(kind, 2), torch.randn(2, 4, 3)
    with torch.no_grad():
        before = model(x)
        with recurrent_operators(model):
            assert "forward" in vars(model.first)
            torch.testing.assert_close(model(x), before)
    assert "forward" not in vars(model.first)


def test_networks_of_another_kind_are_left_alone():
    both = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
    time_first, plain = nn.GRU(3, 5), nn.LSTM(3, 5, bias=False, batch_first=True)
    with recurrent_operators(nn.ModuleList([both, time_first, plain])):
        assert not any("forward" in vars(each) for each in (both, time_first, plain))
