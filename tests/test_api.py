"""Training from Python."""

import numpy as np
import pandas as pd
import pytest

import recsys
from recsys.errors import ConfigError
from recsys.inference import Recommender, verify

QUIET = ["logger=none", "trainer.enable_progress_bar=false", "evaluation.min_buyers=1"]


@pytest.fixture
def orders() -> pd.DataFrame:
    """Ninety days of a small shop, with columns called as the shop calls them."""
    rng = np.random.default_rng(0)
    hours = np.sort(rng.integers(0, 90 * 24, 400))
    return pd.DataFrame(
        {
            "customer": [f"c{user}" for user in rng.integers(0, 20, 400)],
            "product": [f"p{item}" for item in rng.integers(0, 12, 400)],
            "ordered_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h"),
        }
    )


def test_a_frame_is_trained_judged_reported_and_exported(orders, tmp_path):
    run = recsys.train(
        orders,
        *QUIET,
        user_id="customer",
        item_id="product",
        timestamp="ordered_at",
        model="gmf",
        loss="full_softmax",
        train={"max_epochs": 1},
        folder=tmp_path / "run",
    )
    assert 0 <= run.metrics["test/all/ndcg@10"] <= 1
    assert run.report.read_text(encoding="utf-8").startswith("<!")
    bundle = run.export(tmp_path / "my-shop")
    verify(bundle)
    items, _ = Recommender(bundle).recommend(["c1"], k=3)
    assert set(items[0]) <= set(orders["product"])


def test_a_path_gives_the_same_numbers_as_its_frame(orders, tmp_path):
    path = tmp_path / "our orders (1).csv"
    orders.to_csv(path, index=False)
    columns = {"user_id": "customer", "item_id": "product", "timestamp": "ordered_at"}
    found = [
        recsys.train(table, *QUIET, model="popularity", folder=tmp_path / name, **columns)
        for name, table in (("frame", orders), ("path", path))
    ]
    assert found[0].metrics["test/all/ndcg@10"] == found[1].metrics["test/all/ndcg@10"]


def test_what_does_not_exist_is_one_sentence(orders):
    with pytest.raises(ConfigError, match="did you mean gmf"):
        recsys.train(orders, user_id="customer", item_id="product", model="gmff")
    with pytest.raises(ConfigError, match="takes one table"):
        recsys.train(orders, orders)


def test_what_a_model_decided_itself_is_said_and_can_be_set(orders, tmp_path, capsys):
    columns = {"user_id": "customer", "item_id": "product", "timestamp": "ordered_at"}

    def train(name: str, *settings: str) -> recsys.Run:
        return recsys.train(
            orders, *QUIET, *settings, model="ials", folder=tmp_path / name, **columns
        )

    run = train("chosen")
    found = run.metrics["train/chosen/regularization"]
    weight = run.metrics["train/chosen/unobserved_weight"]
    said = f"model.regularization={found:.4g} model.unobserved_weight={weight:.4g}"
    assert f"test: chosen from the data: {said}" in " ".join(capsys.readouterr().err.split())
    assert "Chosen from the data: regularization" in run.report.read_text(encoding="utf-8")
    trained = train("loss", "model=gmf", "train.max_epochs=1")
    said = f"loss.regularization={trained.metrics['train/chosen/regularization']:.4g}"
    printed = " ".join(capsys.readouterr().err.split())
    # once: the refit keeps what was validated
    assert f"val: chosen from the data: {said}" in printed
    assert printed.count("chosen from the data") == 1
    again = train("given", "model.regularization=0.02")
    assert "train/chosen/regularization" not in again.metrics
    assert "train/chosen/unobserved_weight" in again.metrics
