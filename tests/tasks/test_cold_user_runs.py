"""Whole runs judged on customers whom the fitted part does not have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.cli.compare import compare_command
from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.inference import Recommender as Bundle
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import export_run, run_training

COLD = ["evaluation=cold_users", "evaluation.min_buyers=1", "logger=none"]


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty customers, of whom a third says nothing: young ones buy a to e, old ones f to j, and
    some of both the same k.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        bought = rng.choice(list("abcde" if user % 2 else "fghij"), 4, replace=False).tolist()
        rows += [(f"u{user}", item) for item in bought + ["k"] * (user % 3 == 0)]
    monkeypatch.chdir(tmp_path)
    events = pd.DataFrame(rows, columns=["user_id", "item_id"])
    events["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(len(rows)), "h")
    events.to_csv("sales.csv", index=False)
    people = [(f"u{user}", "young" if user % 2 else "old", 20 + user) for user in range(60)]
    people = [row for place, row in enumerate(people) if place % 6 not in (2, 3)]
    pd.DataFrame(people, columns=["user_id", "age_group", "number"]).to_csv(
        "people.csv", index=False
    )
    return tmp_path


def settings(*more: str) -> list[str]:
    return [
        "data=transactions",
        "data.path=sales.csv",
        "data.users.path=people.csv",
        "data.users.kinds={age_group: category, number: number}",
        *more,
    ]


def trained(name: str, *more: str) -> RunFolder:
    return RunFolder.open(str(run_training(compose(settings(*COLD, *more)), Path(name))))


def test_towers_learn_to_serve_who_has_attributes_alone_and_the_run_says_so(town, capsys):
    run = trained(
        "tower",
        "model=two_tower",
        "model.columns=[]",
        "model.user_columns=[age_group]",
        "model.embedding_dim=8",
        "train.max_epochs=30",
        "train.validate_every=10",
        "train.lr=0.05",
        "evaluation.baselines=[popularity,segment_popularity]",
    )
    metrics, gain = run.read_json("metrics.json"), run.read_json("cold_users.json")
    # of five in twelve customers' taste the best list has four hits of its first five
    key = "cold_users/ndcg@5"
    assert metrics[f"test/{key}"] > metrics[f"test/baselines/popularity/{key}"] + 0.1
    assert metrics[f"test/baselines/segment_popularity/{key}"] > metrics[f"test/{key}"] - 0.1
    assert metrics["test/cold_users/users"] == gain["customers"] == 12
    assert 0 < gain["described"] < 12
    assert gain["low"] > 0
    said = " ".join(capsys.readouterr().err.split())
    assert "attributes help cold customers: over the" in said
    page = (run.path / "report.html").read_text()
    assert "Attributes help cold customers: over the" in page
    assert "tested on customers of whom no purchase is known" in page
    # the vocabulary is that of the fitted part
    table = pd.read_parquet(run.path / "per_user.parquet")
    assert not set(table["user_id"]) & set(run.read_vocabulary().user_ids)
    assert table["has_attributes"].sum() == gain["described"]


def test_runs_are_compared_on_cold_customers_with_and_without_attributes(town, capsys):
    trained("segment", "model=segment_popularity", "model.columns=[age_group]")
    trained("popular", "model=popularity")
    compare_command(
        ["runs=[segment,popular]", "metric=cold_users/ndcg@5", "reference=popularity"],
        "recsys compare",
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "segment_popularity" in said
    assert "customers with attributes" in said
    assert "customers without attributes" in said


def test_a_bundle_gives_cold_customers_the_lists_that_were_judged(town):
    run = trained("segment", "model=segment_popularity", "model.columns=[age_group]")
    bundle = Bundle(export_run(run.path, town / "bundle"))
    groups = {"users.age_group": ["young", "old", ""]}
    items, scores = bundle.recommend(["nobody"] * 3, k=5, inputs=groups)
    assert set(items[0]) == set("abcde")
    assert set(items[1]) == set("fghij")
    history = run.read_history()
    buyers = np.bincount(history.values.numpy()) / int((history.lengths() > 0).sum())
    np.testing.assert_allclose(scores[2], np.sort(buyers)[::-1][:5], atol=1e-6)


def test_a_blend_serves_cold_customers_by_the_part_that_knows_them(town):
    run = trained(
        "blend",
        "model=blend",
        "model.parts=[ease,segment_popularity]",
        "evaluation.ks=[5]",
        "parts.segment_popularity.model.columns=[age_group]",
        "parts.segment_popularity.model.smoothing=5",
        "evaluation.split.validation_share=0.3",
        "train.monitor=val/cold_users/ndcg@5",
    )
    metrics = run.read_json("metrics.json")
    part = metrics["test/parts/segment_popularity/cold_users/ndcg@5"]
    assert part > metrics["test/parts/ease/cold_users/ndcg@5"]  # what is popular
    assert metrics["test/cold_users/ndcg@5"] == part


def test_where_nobody_is_cold_the_run_says_so(town, capsys):
    with pytest.warns(UserWarning, match="leave-last-out"):
        run = run_training(
            compose(
                settings(
                    "evaluation=leave_last_out",
                    "evaluation.min_buyers=1",
                    "evaluation.views=[all,cold_users]",
                    "model=popularity",
                    "logger=none",
                )
            ),
            Path("last"),
        )
    metrics = RunFolder.open(str(run)).read_json("metrics.json")
    assert "test/all/ndcg@10" in metrics
    assert not any("cold_users" in key for key in metrics)
    said = " ".join(capsys.readouterr().err.split())
    assert "no customer is cold" in said
    assert "evaluation=cold_users holds out whole customers" in said


def test_new_customers_of_the_last_days_are_a_view_beside_the_others(town):
    sales = pd.read_csv("sales.csv")
    late = sales[sales["user_id"].isin(["u1", "u2"])]
    sales.loc[late.index, "timestamp"] = "2024-02-01 10:00:00"
    sales.to_csv("sales.csv", index=False)
    last_week = [
        "evaluation.split.test_days=7",
        "evaluation.split.validation_days=0",
        "evaluation.min_buyers=1",
        "model=segment_popularity",
        "model.columns=[age_group]",
        "logger=none",
    ]
    both = compose(settings(*last_week, "evaluation.views=[cold_users]"))
    found = RunFolder.open(str(run_training(both, Path("late")))).read_json("metrics.json")
    assert found["test/cold_users/users"] == 2


def test_epochs_are_not_chosen_by_customers_of_whom_a_model_knows_nothing(town):
    with pytest.raises(ConfigError, match="model=mf knows nothing of cold customers.*two_tower"):
        run_training(compose(settings(*COLD, "model=mf")), Path("mf"))


def test_a_monitor_of_known_customers_names_the_view_where_all_are_cold(town):
    with pytest.raises(Exception, match="cold_users judges those who are unknown"):
        run_training(
            compose(settings(*COLD, "model=mf", "train.monitor=val/new/ndcg@10")), Path("mf")
        )
