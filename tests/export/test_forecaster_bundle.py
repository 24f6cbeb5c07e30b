"""Forecasters leave, and what is refused at the gate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError, ExportError
from recsys.export import write_forecaster_bundle
from recsys.export.forecaster import bundle as forecaster_bundle
from recsys.export.forecaster.graph import FromHistory
from recsys.export.onnx.tracing import trace, translate
from recsys.inference import Forecaster, verify
from recsys.inference.bundle import open_session
from recsys.models.forecaster import Window

NAN = float("nan")
MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00


@pytest.mark.parametrize(("name", "number"), [("plain", 0), ("ahead", 2)])
def test_contract_has_free_sizes_though_one_process_exported_both(
    recurrent_bundles: Path, name: str, number: int
) -> None:
    session = open_session((recurrent_bundles / name / "model.onnx").read_bytes())
    inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
    outputs = [(node.name, node.type, node.shape) for node in session.get_outputs()]
    covariates = ("covariates", "tensor(float)", ["batch", "time + horizon", 2])
    assert inputs == [
        ("series_id", "tensor(string)", ["batch"]),
        ("history", "tensor(float)", ["batch", "time"]),
        ("start", "tensor(int64)", ["batch"]),
        *([covariates] if number else []),
    ]
    assert outputs == [("forecast", "tensor(float)", ["batch", 6, 5])]


@pytest.mark.parametrize(("name", "number"), [("plain", 0), ("ahead", 2)])
@pytest.mark.parametrize("rows", [1, 2, 17])
@pytest.mark.parametrize("time", [1, 2, 23, 24, 61])
def test_bundle_answers_as_torch_does(
    recurrent_bundles: Path,
    recurrent: Callable[[int], Any],
    name: str,
    number: int,
    rows: int,
    time: int,
) -> None:
    generator = np.random.default_rng(rows * 100 + time)
    history = generator.poisson(20, (rows, time)).astype(np.float32)
    history[generator.random(history.shape) < 0.2] = NAN
    history[-1:] = 3 if rows > 1 else NAN
    covariates = generator.random((rows, time + 6, number), dtype=np.float32)
    covariates[generator.random(covariates.shape) < 0.3] = NAN
    start = MIDNIGHT + 3600 * generator.integers(-300_000, 300_000, rows)
    series = generator.integers(0, 6, rows)
    window = Window(*map(torch.from_numpy, (series, history, start, covariates)))
    with torch.no_grad():
        want = recurrent(number).eval()(window).numpy()
    names = np.array(["007", "7", "NA", "Zoë", "a,b", "unknown"], dtype=object)[series]
    feeds = {"series_id": names, "history": history, "start": start}
    if number:
        feeds["covariates"] = covariates
    (found,) = open_session((recurrent_bundles / name / "model.onnx").read_bytes()).run(
        ["forecast"], feeds
    )
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=2e-3)
    # The wrapper cuts and pads.
    forecaster = Forecaster(recurrent_bundles / name)
    wrapped = forecaster.forecast(names, history, start, covariates if number else None)
    np.testing.assert_allclose(wrapped, want, rtol=1e-4, atol=2e-3)


def test_bundle_is_complete_and_verifies(recurrent_bundles: Path) -> None:
    folder = recurrent_bundles / "ahead"
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "manifest.json",
        "model.onnx",
        "samples.json",
    }
    assert sorted(path.name for path in recurrent_bundles.iterdir()) == ["ahead", "plain"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    want = {
        "task": "forecaster",
        "num_series": 5,
        "horizon": 6,
        "quantiles": [0.1, 0.25, 0.5, 0.75, 0.9],
        "history_length": 24,
        "step": "hour",
        "step_seconds": 3600,
        "step_offset": 0,
        "timezone": "Europe/Berlin",
        "covariate_names": ["price", "promo"],
        "unit": "units sold",
        "metrics": {"test/wape": 0.25},
        "opset": 20,
        "ir_version": 10,
    }
    assert {key: manifest[key] for key in want} == want
    assert [value["name"] for value in manifest["inputs"]] == [
        "series_id",
        "history",
        "start",
        "covariates",
    ]
    assert 0 < manifest["parity"]["largest_difference"] < 1e-4
    assert verify(folder).cases == 7
    samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["cases"]
    assert {len(case["series_id"]) for case in samples} == {1, 2, 3}


def test_graph_holds_no_path_no_stack_and_fixed_versions(recurrent_bundles: Path) -> None:
    content = (recurrent_bundles / "ahead" / "model.onnx").read_bytes()
    for trace_of in (str(Path.cwd()), str(Path.home()), "site-packages", ".py", "File ", "recsys-"):
        assert trace_of.encode() not in content
    model = onnx.load_from_string(content)
    assert (model.ir_version, model.producer_name) == (10, "recsys")
    assert {entry.domain: entry.version for entry in model.opset_import} == {
        "": 20,
        "ai.onnx.ml": 3,
    }
    # One operator for each network: steps are not unrolled.
    assert [node.op_type for node in model.graph.node].count("LSTM") == 2


def test_model_card_names_unit_step_and_what_it_holds_about_people(recurrent_bundles: Path) -> None:
    card = (recurrent_bundles / "ahead" / "README.md").read_text(encoding="utf-8")
    assert "Forecasts units sold an hour: the model `Recurrent`" in card
    assert "quantiles 0.1, 0.25, 0.5, 0.75 and 0.9 of the next 6 hours" in card
    assert "by the clock of Europe/Berlin" in card
    assert "Covariates, in this order: price, promo" in card
    assert "`model.onnx` holds the ids of 5 series" in card
    assert "| `wape` | 0.2500 |" in card
    python = card.split("```python\n")[1].split("```")[0]
    assert "covariates = np.full((1, 10, 2)" in python
    found: dict[str, Any] = {}
    exec(
        python.replace('Forecaster("ahead")', "Forecaster(folder)"),
        {"folder": recurrent_bundles / "ahead"},
        found,
    )
    assert found["forecast"].shape == (1, 6, 5)


def test_real_sales_are_not_in_the_samples(
    recurrent_bundles: Path, arguments_of: Callable[..., Any], recurrent: Callable[[int], Any]
) -> None:
    history = arguments_of(recurrent(0))["histories"].history
    cases = json.loads((recurrent_bundles / "plain" / "samples.json").read_text("utf-8"))["cases"]
    rows = [row[-6:] for case in cases for row in case["history"]]
    assert not [row for row in rows if any(row == real[-6:].tolist() for real in history)]


class Simple(nn.Module):
    """The last value, and what the tests need wrong."""

    num_series, num_covariates, horizon, history_length = 5, 0, 3, 4
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    step = "hour"

    def forward(self, window: Window) -> Tensor:
        y = nn.functional.pad(window.history, (4, 0), value=torch.nan)[:, -4:]
        return self.answer(torch.nan_to_num(y), window)[:, :, None] + torch.tensor([-1.0, 0, 1])

    def answer(self, y: Tensor, window: Window) -> Tensor:
        return y.sum(1, keepdim=True).expand(-1, 3)


class ReadsFurther(Simple):
    def answer(self, y: Tensor, window: Window) -> Tensor:
        return torch.nan_to_num(window.history).sum(1, keepdim=True).expand(-1, 3)


class NeedsAll(Simple):
    def forward(self, window: Window) -> Tensor:
        y = nn.functional.pad(window.history, (4, 0), value=torch.nan)[:, -4:]
        return y.sum(1)[:, None, None] + torch.tensor([[-1.0, 0, 1]] * 3)


class Crossing(Simple):
    def forward(self, window: Window) -> Tensor:
        return super().forward(window) * torch.tensor([1.0, -1, 1])


class Narrow(Simple):
    def answer(self, y: Tensor, window: Window) -> Tensor:
        return y[:, :2]


class FloatClock(Simple):
    """torch exports this division through float32, which does not hold seconds."""

    def answer(self, y: Tensor, window: Window) -> Tensor:
        end = window.start + window.history.shape[1] * 3600
        hour = torch.div(end, 3600, rounding_mode="floor") % 24
        return hour[:, None].expand(-1, 3) + y[:, :1] * 0


class Branching(Simple):
    def answer(self, y: Tensor, window: Window) -> Tensor:
        return y[:, :3] if y.sum() > 3 else y[:, 1:]


class FixedLength(Simple):
    def answer(self, y: Tensor, window: Window) -> Tensor:
        return window.history.reshape(-1, 5)[:, :3]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (ReadsFurther, "does not read a history of 41 steps as the 4 of history_length"),
        (NeedsAll, "forecasts nan for step 1 from a history of 1 steps: .* finite wherever"),
        (Crossing, "forecasts a quantile below a lower one"),
        (Narrow, r"forecasts the shape \(17, 2, 3\), not \(17, 3, 3\)|Narrow"),
        (FloatClock, "the graph disagrees with torch in a batch of .* worst difference"),
        (Branching, "Branching has no ONNX graph"),
        (FixedLength, "FixedLength"),
    ],
)
def test_models_that_break_a_promise_do_not_leave(
    folder: Path, arguments_of: Callable[..., Any], model: type[Any], sentence: str
) -> None:
    with pytest.raises(ExportError, match=sentence) as caught:
        write_forecaster_bundle(folder, **arguments_of(model()))
    assert "\n" not in str(caught.value)
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": object()}, "object is no torch module, so it has no graph"),
        ({"series_ids": np.array(["a"])}, "knows 5 series and 1 series ids"),
        ({"series_ids": np.array(["a"] * 5)}, "two series have the same id"),
        ({"series_ids": np.array([*"abcd", ""])}, "series id '' cannot be in a graph"),
        ({"step": "day"}, "was built for step='hour', and step='day' is given"),
        ({"timezone": "Berlin"}, "timezone='Berlin' is no IANA zone"),
        ({"covariate_names": ["price"]}, "reads 0 covariates and 1 names"),
        ({"provenance": {"horizon": 1}}, "provenance must not hold 'horizon'"),
    ],
)
def test_unusable_arguments_are_refused(
    folder: Path, arguments_of: Callable[..., Any], change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ExportError, match=sentence):
        write_forecaster_bundle(folder, **arguments_of(Simple()) | change)
    assert not folder.parent.exists()


def test_step_that_does_not_exist_is_refused(
    folder: Path, arguments_of: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigError, match="fortnight"):
        write_forecaster_bundle(folder, **arguments_of(Simple()) | {"step": "fortnight"})


@pytest.mark.parametrize("names", [["price", "price"], ["price", "y"], ["", "price"]])
def test_covariates_need_names_of_their_own(
    folder: Path, arguments_of: Callable[..., Any], recurrent: Callable[[int], Any], names: Any
) -> None:
    arguments = arguments_of(recurrent(2), 2) | {"covariate_names": names}
    with pytest.raises(ExportError, match="cannot be named"):
        write_forecaster_bundle(folder, **arguments)


@pytest.mark.parametrize("quantiles", [(0.1, 0.4, 0.9), (0.5, 0.1, 0.9), (0.5, 0.5, 0.9)])
def test_quantiles_ascend_and_hold_the_point_forecast(
    folder: Path, arguments_of: Callable[..., Any], quantiles: Any
) -> None:
    model = Simple()
    model.quantiles = quantiles
    with pytest.raises(ExportError, match="they ascend, and 0.5 is one"):
        write_forecaster_bundle(folder, **arguments_of(model))


@pytest.mark.parametrize(
    "change",
    [
        {"history": np.ones((4, 30))},
        {"history": np.ones(5)},
        {"covariates": np.ones((5, 30, 0))},
        {"start": np.ones(4)},
        {"series": np.arange(1, 7)},
        {"series": np.array([-1, 0, 1, 2, 3])},
        {"series": np.array([6, 0, 1, 2, 3])},
    ],
)
def test_sample_windows_that_do_not_fit_are_refused(
    folder: Path, arguments_of: Callable[..., Any], change: dict[str, Any]
) -> None:
    arguments = arguments_of(Simple())
    arguments["histories"] = arguments["histories"]._replace(**change)
    with pytest.raises(ExportError, match="sample window"):
        write_forecaster_bundle(folder, **arguments)


def test_tensors_serve_as_sample_windows_and_steps_have_their_place(
    folder: Path, arguments_of: Callable[..., Any]
) -> None:
    arguments = arguments_of(Simple())
    arguments["histories"] = Window(
        *(torch.from_numpy(np.array(column)) for column in arguments["histories"])
    )
    arguments["histories"].start[:] += 1800
    write_forecaster_bundle(folder, **arguments)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["step_offset"] == 1800
    arguments["histories"].start[0] += 60
    write_forecaster_bundle(folder, **arguments)
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["step_offset"] is None
    assert list(folder.parent.iterdir()) == [folder]


def test_bundle_is_replaced_only_by_a_complete_one(
    folder: Path, arguments_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="something else than a bundle"):
        write_forecaster_bundle(folder, **arguments_of(Simple()))
    (folder / "thesis.txt").unlink()

    def fail(path: Path) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(forecaster_bundle, "verify", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_forecaster_bundle(folder, **arguments_of(Simple()))
    assert list(folder.parent.iterdir()) == [folder]
    assert not list(folder.iterdir())


def test_an_operator_that_onnx_does_not_have_is_one_sentence() -> None:
    class Exotic(Simple):
        def answer(self, y: Tensor, window: Window) -> Tensor:
            return torch.special.bessel_j0(y[:, :3])

    model = Exotic()
    samples = (
        torch.zeros(3, dtype=torch.int64),
        torch.zeros(3, 5),
        torch.zeros(3, dtype=torch.int64),
    )
    program = trace(FromHistory(model).eval(), samples, ({}, {}, {}), "Exotic")
    with pytest.raises(ExportError, match="^Exotic has no ONNX graph") as caught:
        translate(program, ["series", "history", "start"], ["forecast"], "Exotic")
    assert "\n" not in str(caught.value)
