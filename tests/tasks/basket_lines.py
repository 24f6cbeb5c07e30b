"""A third task in one file: how many lines a customer's last basket has, by a linear model."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch
from onnx import TensorProto, helper
from torch import nn

from recsys.comparison.units import UnitTable
from recsys.data.dataset import Dataset
from recsys.reports.run_page import plain_page

FEATURES = ("baskets", "lines")


class Linear(nn.Module):
    """lines = w · (baskets, lines before) + b, by least squares."""

    def __init__(self, ridge: float = 1.0) -> None:
        super().__init__()
        self.ridge = ridge
        self.layer = nn.Linear(len(FEATURES), 1)

    @torch.no_grad()
    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        wide = np.c_[x, np.ones(len(x))]
        found = np.linalg.solve(wide.T @ wide + self.ridge * np.eye(wide.shape[1]), wide.T @ y)
        self.layer.weight.copy_(torch.from_numpy(found[None, :-1]).float())
        self.layer.bias.copy_(torch.from_numpy(found[-1:]).float())


class LastBasket:
    """Settings of the evaluation: a share of the customers is the test."""

    def __init__(self, test_share: float = 0.5, monitor: str = "val/lines_mae") -> None:
        self.test_share, self.monitor = test_share, monitor


class BasketLines:
    """The task."""

    name = "basket_lines"
    data = Dataset
    evaluation = LastBasket

    def check(self, settings):
        settings.model.resolve()

    def prepare(self, settings, data, run, metrics):
        return Prepared(settings, data, run)

    def direction(self, metric):
        return "min" if metric.endswith("lines_mae") else None

    def print_board(self, metrics, settings):
        print(f"{settings.choices.model}: {metrics['test/lines_mae']:.3f}")

    def page(self, run):
        return plain_page(run)

    def units(self, run):
        return UnitTable("per_unit.parquet", "unit_id", "customer", "customers", self.direction)

    def load(self, run):
        model = Linear()
        model.load_state_dict(run.read_weights("test"))
        return model.eval()

    def export(self, run, folder: Path, *, seen: bool, because: bool = False) -> Path:
        layer = self.load(run).layer
        weight, bias = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
        graph = helper.make_graph(
            [helper.make_node("Gemm", ["x", "w", "b"], ["lines"])],
            "basket_lines",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", len(FEATURES)])],
            [helper.make_tensor_value_info("lines", TensorProto.FLOAT, ["batch", 1])],
            [onnx.numpy_helper.from_array(weight, "w"), onnx.numpy_helper.from_array(bias, "b")],
        )
        opset = [helper.make_opsetid("", 20)]
        folder.mkdir(parents=True)
        onnx.save(
            helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "model.onnx"
        )
        return folder


class Prepared:
    """Customers as rows; half of them, in turn, are validation and test."""

    phases = ("val", "test")
    split_fingerprint = "by place"

    def __init__(self, settings, data, run):
        self._run, self._settings, self._report = run, settings, data.report
        rows = pd.DataFrame({"user": data.user, "day": data.day})
        baskets = rows.groupby(["user", "day"]).size().rename("lines").reset_index()
        last = baskets.groupby("user").tail(1).set_index("user")
        before = baskets.drop(baskets.groupby("user").tail(1).index).groupby("user")["lines"]
        table = pd.DataFrame({"baskets": before.size(), "lines": before.mean()})
        self._x = table.reindex(last.index).fillna(0.0).to_numpy()
        self._y = last["lines"].to_numpy(dtype=float)
        self._ids = data.user_ids[last.index.to_numpy()]
        self._place = np.arange(len(self._y)) % 4

    def _rows(self, phase):
        return self._place == (3 if phase == "test" else 2)

    def fit(self, phase, *, epochs, callbacks):
        model = self._settings.model.build()
        fitted = self._place < (3 if phase == "test" else 2)
        model.fit(self._x[fitted], self._y[fitted])
        return model, None

    def judge(self, phase, model):
        rows = self._rows(phase)
        with torch.no_grad():
            made = model.layer(torch.from_numpy(self._x[rows]).float()).squeeze(1).numpy()
        error = np.abs(made - self._y[rows])
        if phase == "test":
            table = pd.DataFrame({"unit_id": self._ids[rows], "lines_mae": error})
            self._run.write_table("per_unit.parquet", table)
        mean = np.abs(self._y[~rows].mean() - self._y[rows]).mean()
        found = {f"{phase}/lines_mae": float(error.mean())}
        return found | ({"test/baselines/mean/lines_mae": float(mean)} if phase == "test" else {})

    def finish(self, model):
        self._run.write_json("data_report.json", self._report.to_json())
        return {"data/rows": float(self._report.rows)}
