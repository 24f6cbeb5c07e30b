"""A blend is trained, judged, reported, repeated and exported as any other model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.inference import Recommender as Bundle
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import (
    checked_task,
    export_run,
    load_run,
    metrics_that_differ,
    rerun,
    run_training,
    run_validation,
)

SHOP = [
    *("data=transactions", "data.path=sales.csv", "evaluation.min_buyers=1", "logger=none"),
    *("trainer.enable_progress_bar=false", "train.max_epochs=3", "evaluation.baselines=[]"),
    "evaluation.split.test_days=20",
    "evaluation.split.validation_days=20",
]
BLEND = ["model=blend", "model.parts=[item_knn,gmf,popularity]"]


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, sales: pd.DataFrame) -> Path:
    """A folder with a small table and a blend trained on it."""
    folder = tmp_path_factory.mktemp("blend")
    sales.to_csv(folder / "sales.csv", index=False)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        run_training(compose([*SHOP, *BLEND]), folder / "blend")
    return folder


@pytest.fixture
def trained(once: Path, shop: Path) -> Path:
    return Path(shutil.copytree(once / "blend", shop / "blend"))


def test_every_part_is_what_it_is_alone_and_the_blend_is_no_worse_on_validation(trained, capsys):
    found = metrics(trained)
    for name in ("item_knn", "gmf"):
        alone = metrics(run_training(compose([*SHOP, f"model={name}"]), Path(name)))
        for phase in ("val", "test"):
            key = "new/ndcg@10"
            assert found[f"{phase}/parts/{name}/{key}"] == alone[f"{phase}/{key}"]
    assert found["train/parts/gmf/epochs"] == alone["train/epochs"]
    parts = [found[f"val/parts/{name}/new/ndcg@10"] for name in ("item_knn", "gmf", "popularity")]
    assert found["val/new/ndcg@10"] >= max(parts)


def test_weights_that_validation_chose_stay_and_are_reported(trained):
    found, model = metrics(trained), load_run(trained)[0]
    weights = {name: found[f"train/chosen/weights.{name}"] for name in model.names}
    assert sum(weights.values()) == pytest.approx(1)
    # of the last phase, which has no say in them
    assert model.weight[:, 0].tolist() == pytest.approx([*weights.values(), 0])
    blend = json.loads((trained / "blend.json").read_text())
    assert [part["name"] for part in blend["parts"]] == list(weights)
    report = (trained / "report.html").read_text()
    assert "The parts alone, and together" in report
    assert "which validation chose by val/new/ndcg@10" in report


def test_given_weights_are_taken_as_they_are(shop, trained):
    found = metrics(trained)
    names = ("item_knn", "gmf", "popularity")
    given = ",".join(f"{name}:{found[f'train/chosen/weights.{name}']}" for name in names)
    scale = load_run(trained)[0].scale
    settings = compose([*SHOP, *BLEND, f"model.weights={{{given}}}", f"model.scale={scale}"])
    again = metrics(run_training(settings, shop / "again"))
    assert again["test/new/ndcg@10"] == pytest.approx(found["test/new/ndcg@10"], rel=1e-9)
    fit_all = ["evaluation=none", "evaluation.min_buyers=1", f"model.weights={{{given}}}"]
    everything = [each for each in SHOP if "split" not in each and "baselines" not in each]
    run_training(compose([*everything, *BLEND, *fit_all]), shop / "everything")
    with pytest.raises(ConfigError, match=r"no validation part.*model.weights=\{item_knn: …"):
        run_training(compose([*everything, *BLEND, *fit_all[:2]]), shop / "unchosen")


def test_a_run_repeats_itself_and_its_bundle_answers(shop, trained):
    again = rerun(str(trained), ["hydra.run.dir=again"])
    assert not metrics_that_differ(RunFolder(trained), RunFolder(again))
    bundle = Bundle(export_run(trained, shop / "bundles" / "blend", include_seen=True))
    items, scores = bundle.recommend(["3", "a stranger"], k=4, history=[None, ["5", "7"]])
    assert np.isfinite(scores).all()
    assert len(set(items[1])) == 4
    assert bundle.manifest["fallback"] == "all_unknown"


def test_a_stacked_blend_learns_its_weights(shop):
    folder = run_training(compose([*SHOP, *BLEND, "model.stacked=true"]), shop / "stacked")
    model = load_run(folder)[0]
    assert model.weight[-1, 0] != 0  # of popularity
    assert model.weight[0, 1] != 0  # by the length of the history
    assert "By purchases" in (folder / "report.html").read_text()


def test_a_trial_of_a_sweep_is_judged_as_a_whole(shop, trained):
    found = run_validation(compose([*SHOP, *BLEND]), shop / "trial", lambda epoch, value: None)
    assert found == {"value": metrics(trained)["val/new/ndcg@10"]}


def test_users_of_whom_only_a_history_is_known_are_judged_by_the_parts_that_read_it(shop):
    unseen = [each for each in SHOP if "split" not in each]
    settings = [*unseen, "evaluation=unseen_users", "evaluation.min_buyers=1", "model=blend"]
    parts = "model.parts=[item_knn,gmf]"
    found = metrics(run_training(compose([*settings, parts]), shop / "unseen"))
    assert found["test/all/users"] > 0
    with pytest.raises(ConfigError, match="knows users by their ids"):
        run_training(compose([*settings, "model.parts=[gmf,mf]"]), shop / "ids")


def test_cold_items_are_ranked_by_the_part_that_reads_attributes(shop):
    rng = np.random.default_rng(1)
    kinds = {str(item): f"kind{item % 4}" for item in range(24)}
    pairs = [
        (str(user), item)
        for user in range(40)
        for item, kind in kinds.items()
        if kind == f"kind{user % 4}" or rng.random() < 0.1
    ]
    # the last items of every kind are sold in the test alone
    cold = {"20", "21", "22", "23"}
    table = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    table[~table["item_id"].isin(cold)].to_csv("train.csv", index=False)
    table[table["item_id"].isin(cold)].to_csv("test.csv", index=False)
    pd.DataFrame({"item_id": kinds.keys(), "kind": kinds.values()}).to_csv("items.csv", index=False)
    overrides = [
        *("data=presplit", "data.train_path=train.csv", "data.test_path=test.csv"),
        *("data.items.path=items.csv", "evaluation.views=[new,cold_items]", "logger=none"),
        *("evaluation.split.validation_cold_items=0.2", "train.monitor=val/cold_items/ndcg@10"),
        *("trainer.enable_progress_bar=false", "train.max_epochs=2", "model=blend"),
    ]
    settings = compose([*overrides, "model.parts=[content,ease,gmf]"])
    found = metrics(run_training(settings, shop / "cold"))
    assert found["test/cold_items/ndcg@10"] == found["test/parts/content/cold_items/ndcg@10"] > 0.8
    # what knows buyers alone has no order of them
    assert "test/parts/ease/cold_items/ndcg@10" not in found
    new = compose([*overrides, "train.monitor=val/new/ndcg@10", "model.parts=[ease,item_knn]"])
    with pytest.warns(UserWarning, match="cold_items is left out, because model=blend"):
        run_training(new, shop / "warm")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.parts=[ease]"], r"model.parts=\[ease\]: a blend has two parts at least"),
        (["model.parts=[ease,lstm]"], "model.parts: lstm is no recommender"),
        (["model.parts=[ease,gmf]", "parts.gmf.loss=quantile"], "loss=quantile trains forecasters"),
        (["model.parts=[ease,ials]", "model.weights={ease: 1}"], "the parts are ease, ials"),
    ],
)
def test_a_blend_that_cannot_be_is_refused_before_anything_is_read(overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        checked_task(compose(["model=blend", *overrides]))
