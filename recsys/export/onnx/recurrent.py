"""LSTMs and GRUs as one operator per layer, in tracing and in the graph.

torch traces a recurrent network step by step, which takes seconds for every one of them, and the
second one that a process translates may lose its free axes without a word (torch 2.13).

Axes: B rows, T steps, F inputs, H units.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from onnxscript import opset20
from torch import Tensor, nn

op: Any = opset20  # its own types are too narrow for values that are being traced
# gates of a weight matrix in ONNX's order, by their place in torch's
_LSTM_GATES = (0, 3, 1, 2)
_GRU_GATES = (1, 0, 2)


@torch.library.custom_op("recsys::lstm", mutates_args=())
def _lstm(
    x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One layer: inputs (B, T, F) and state (B, H) -> states (B, T, H) and the last of both."""
    weights = [w_ih, w_hh, b_ih, b_hh]
    options = True, 1, 0.0, False, False, True
    states, last, cell = torch.lstm(x, (h.unsqueeze(0), c.unsqueeze(0)), weights, *options)
    return states.clone(), last[0].clone(), cell[0].clone()


@_lstm.register_fake
def _(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(*x.shape[:2], h.shape[1]), torch.empty_like(h), torch.empty_like(c)


@torch.library.custom_op("recsys::gru", mutates_args=())
def _gru(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> tuple[Tensor, Tensor]:
    """One layer, as `_lstm`."""
    weights = [w_ih, w_hh, b_ih, b_hh]
    states, last = torch.gru(x, h.unsqueeze(0), weights, True, 1, 0.0, False, False, True)
    return states.clone(), last[0].clone()


@_gru.register_fake
def _(x: Tensor, h: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(*x.shape[:2], h.shape[1]), torch.empty_like(h)


@contextmanager
def recurrent_operators(model: nn.Module) -> Iterator[None]:
    """Within it, LSTMs and GRUs of one direction that read (B, T, F) are called as operators."""
    found = [
        module
        for module in model.modules()
        if isinstance(module, nn.LSTM | nn.GRU)
        and module.batch_first
        and module.bias
        and not module.bidirectional
        and not module.proj_size
    ]
    for module in found:
        module.forward = partial(_forward, module)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for module in found:
            del module.forward


def translations() -> dict[Any, Callable[..., Any]]:
    """Operator to its function in ONNX, as torch.onnx.export takes them."""
    return {torch.ops.recsys.lstm.default: _onnx_lstm, torch.ops.recsys.gru.default: _onnx_gru}


def _forward(module: nn.LSTM | nn.GRU, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """What `module.forward` returns, layer by layer."""
    is_lstm = isinstance(module, nn.LSTM)
    if state is None:
        zeros = x.new_zeros(module.num_layers, x.shape[0], module.hidden_size)
        state = (zeros, zeros) if is_lstm else zeros
    before = state if is_lstm else (state,)
    operator = torch.ops.recsys.lstm if is_lstm else torch.ops.recsys.gru
    last = []
    for layer in range(module.num_layers):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = (getattr(module, f"{name}_l{layer}") for name in names)
        x, *end = operator(x, *(each[layer] for each in before), *weights)
        last.append(end)
    after = tuple(map(torch.stack, zip(*last, strict=True)))  # (layers, B, H) each
    return x, after if is_lstm else after[0]


def _onnx_lstm(x: Any, h: Any, c: Any, *weights: Any) -> Any:
    axis = op.Constant(value_ints=[0])
    state = op.Unsqueeze(h, axis), op.Unsqueeze(c, axis)
    given = _time_first(x), *_onnx_weights(weights, _LSTM_GATES), None, *state
    states, last, cell = op.LSTM(*given, hidden_size=h.shape[1])
    return _batch_first(states), op.Squeeze(last, axis), op.Squeeze(cell, axis)


def _onnx_gru(x: Any, h: Any, *weights: Any) -> Any:
    axis = op.Constant(value_ints=[0])
    given = _time_first(x), *_onnx_weights(weights, _GRU_GATES), None, op.Unsqueeze(h, axis)
    # torch's variant: the reset gate multiplies after the product with the state
    states, last = op.GRU(*given, hidden_size=h.shape[1], linear_before_reset=1)
    return _batch_first(states), op.Squeeze(last, axis)


def _onnx_weights(weights: tuple[Any, ...], gates: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Weights of inputs (1, gates H, F) and state (1, gates H, H), and both biases in one."""
    axis = op.Constant(value_ints=[0])
    ordered = []
    for each in weights:
        parts = op.Split(each, axis=0, num_outputs=len(gates))
        ordered.append(op.Concat(*(parts[gate] for gate in gates), axis=0))
    w_ih, w_hh, b_ih, b_hh = ordered
    bias = op.Concat(b_ih, b_hh, axis=0)
    return op.Unsqueeze(w_ih, axis), op.Unsqueeze(w_hh, axis), op.Unsqueeze(bias, axis)


def _time_first(x: Any) -> Any:
    return op.Transpose(x, perm=[1, 0, 2])


def _batch_first(states: Any) -> Any:
    """(T, 1, B, H) -> (B, T, H)."""
    return op.Transpose(op.Squeeze(states, op.Constant(value_ints=[1])), perm=[1, 0, 2])
