"""A task that the project does not know works like its own: one file, and YAML that names it."""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from recsys.cli.compare import compare_command
from recsys.cli.export import export_command
from recsys.cli.runs import runs_command
from recsys.cli.sweep import sweep_command
from recsys.config.composition import compose
from recsys.config.targets import ALLOW
from recsys.errors import ConfigError
from recsys.tasks import registry
from recsys.tasks.lifecycle import run_training

RECIPE = ["task=basket_lines", "model=linear", "evaluation=last_basket", "allow=[basket_lines]"]
DATA = ["data=transactions", "data.path=orders.csv", "logger=none"]
FILES = {
    "task/basket_lines.yaml": "_target_: basket_lines.BasketLines\n",
    "model/linear.yaml": "_target_: basket_lines.Linear\n",
    "evaluation/last_basket.yaml": "_target_: basket_lines.LastBasket\n",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with orders, the task's file and the recipes that name it."""
    shutil.copy(Path(__file__).with_name("basket_lines.py"), tmp_path)
    for name, text in FILES.items():
        (tmp_path / "recipes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "recipes" / name).write_text(text)
    rng = np.random.default_rng(0)
    orders = pd.DataFrame(
        {
            "user_id": rng.integers(0, 40, 600),
            "item_id": rng.integers(0, 30, 600),
            "timestamp": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 90, 600), "D"),
        }
    )
    orders.to_csv(tmp_path / "orders.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    monkeypatch.setenv(ALLOW, "")
    return tmp_path


def train(name: str, *overrides: str) -> Path:
    return run_training(compose([*RECIPE, *DATA, *overrides], config_dir="recipes"), Path(name))


def test_it_trains_is_judged_reported_listed_compared_and_exported(shop, capsys):
    first, second = train("one"), train("two", "model.ridge=1000")
    page = (first / "report.html").read_text(encoding="utf-8")
    assert "lines_mae" in page
    assert "mean" in page
    assert runs_command(["runs=[one,two]"], "recsys runs") == 0
    assert "2 runs" in capsys.readouterr().out
    assert compare_command(["runs=[one,two]", "output=compared"], "recsys compare") == 0
    assert "lines_mae" in (shop / "compared" / "comparison.html").read_text(encoding="utf-8")
    assert export_command(["run=one", "name=lines", "allow=[basket_lines]"], "recsys export") == 0
    session = onnxruntime.InferenceSession("exported/lines/model.onnx")
    assert session.run(None, {"x": np.ones((2, 2), dtype=np.float32)})[0].shape == (2, 1)
    assert second.is_dir()


def test_it_is_swept(shop):
    (shop / "lines.yaml").write_text("space:\n  model.ridge: {choose: [0.1, 10.0, 1000.0]}\n")
    where = ["hydra.searchpath=[file://" + str(shop / "recipes") + "]"]
    given = ["sweep=lines.yaml", "sampler=grid", "jobs=1", "output=swept", "test=false"]
    assert sweep_command([*given, *where, *RECIPE, *DATA], "recsys sweep") == 0
    trials = pd.read_csv("swept/trials.csv")
    assert len(trials) == 3
    assert trials["val/lines_mae"].notna().all()


def test_what_does_not_belong_together_is_refused_before_anything_is_read(shop):
    with pytest.raises(ConfigError, match="evaluation=global_time is not for task=basket_lines"):
        train("run", "evaluation=global_time")
    with pytest.raises(ConfigError, match="neither a higher nor a lower value of it is better"):
        train("run", "train.monitor=val/other")
    assert not Path("run").exists()
