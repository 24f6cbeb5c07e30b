"""Two stages are trained, judged, repeated and exported in one run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.inference import Recommender as Bundle
from recsys.models.inputs import Query
from recsys.models.recommenders.two_stage import first_scores
from recsys.runs.folder import RunFolder
from recsys.tasks.lifecycle import (
    checked_task,
    export_run,
    load_run,
    metrics_that_differ,
    rerun,
    run_training,
)

SHOP = [
    *("data=transactions", "data.path=sales.csv", "evaluation.min_buyers=1", "logger=none"),
    *("trainer.enable_progress_bar=false", "train.max_epochs=2", "evaluation.baselines=[]"),
    "evaluation.split.test_days=20",
    "evaluation.split.validation_days=20",
]
SMALL = ["model.num_candidates=4", "model.embedding_dim=4", "loss.num_negatives=8"]


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_fits_both_stages_repeats_itself_and_its_bundle_answers(shop):
    settings = [*SHOP, *SMALL, "model=deepfm", "parts.first.model.num_neighbours=7"]
    folder = run_training(compose(settings), shop / "run")
    found, model = metrics(folder), load_run(folder)[0]
    assert model.first.neighbours.shape == (25, 7)
    alone = [each for each in SHOP if not each.startswith("train.")]
    first = run_training(
        compose([*alone, "model=item_knn", "model.num_neighbours=7"]), shop / "knn"
    )
    for phase in ("val", "test"):
        for view in ("new", "all"):
            key = f"{view}/ndcg@10"
            assert found[f"{phase}/parts/first/{key}"] == metrics(first)[f"{phase}/{key}"]
    again = rerun(str(folder), ["hydra.run.dir=again"])
    assert not metrics_that_differ(RunFolder(folder), RunFolder(again))
    bundle = Bundle(export_run(folder, shop / "bundles" / "run", include_seen=True))
    items, scores = bundle.recommend(["3", "a stranger"], k=25, history=[None, ["5", "7"]])
    assert np.isfinite(scores).all()
    assert len(set(items[1])) == 25
    assert (scores[0] > 0).sum() <= 2 * 4  # the candidates, first


def test_a_first_stage_that_is_trained_has_settings_of_its_own_and_stays_as_it_is(shop):
    settings = [*SHOP, *SMALL, "model=dcn_v2", "model.first=gmf", "parts.first.train.max_epochs=3"]
    folder = run_training(compose(settings), shop / "run")
    alone = [each for each in SHOP if not each.startswith("train.")]
    gmf = run_training(compose([*alone, "model=gmf", "train.max_epochs=3"]), shop / "gmf")
    both, first = load_run(folder)[0], load_run(gmf)[0]
    for name, weight in first.state_dict().items():
        assert torch.equal(both.first.state_dict()[name], weight), name
    # another one was trained on what came before, and left no trace but its checkpoints
    assert (folder / "checkpoints" / "test_" / "first_earlier" / "last.ckpt").is_file()
    assert metrics(folder)["train/parts/first/epochs"] == metrics(gmf)["train/epochs"]


@pytest.mark.parametrize("learn_from", ["impressions", "purchases"])
def test_what_was_shown_and_not_bought_sinks_below_what_was(shop, learn_from):
    """The item "shown" is bought by 15 users and was shown to 25 others in vain; "taken" is bought
    by all 10 to whom it was shown. Purchases alone, and popularity, prefer the former.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(40):
        rows += [(user, f"i{rng.integers(8)}", day, "buy") for day in (10, 20, 30, 40)]
        if user < 25:
            rows.append((user, "shown", 50, "view"))
        if user < 10:
            rows.append((user, "taken", 50, "view"))
        rows.append((user, "taken" if user < 10 else "i0" if user < 25 else "shown", 50, "buy"))
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "day", "what"])
    table["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(table.pop("day"), unit="D")
    table.to_csv("sales.csv", index=False)
    settings = [
        *("data=transactions", "data.path=sales.csv", "evaluation=none", "logger=none"),
        *("data.columns.event_type=what", "data.bought=[buy]", "data.shown=[view]"),
        *("trainer.enable_progress_bar=false", "train.max_epochs=25", "train.lr=0.02"),
        *("model=deepfm", "model.first=popularity", "model.num_candidates=10"),
        f"loss.learn_from={learn_from}",
    ]
    model, run = load_run(run_training(compose(settings), shop / "run"))
    ids = run.read_vocabulary().item_ids.tolist()
    shown, taken = ids.index("shown"), ids.index("taken")
    users = torch.arange(10, 25)
    query = Query(users, run.read_history().padded(users, len(ids)))
    with torch.no_grad():
        first, scores = first_scores(model.first, query), model.score_all(query)
    assert bool((first[:, shown] > first[:, taken]).all())
    if learn_from == "impressions":
        assert bool((scores[:, taken] > scores[:, shown]).all())
    else:
        assert (scores[:, taken] > scores[:, shown]).float().mean() < 0.5


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.first=item_kn"], "model.first: item_kn does not exist; did you mean item_knn"),
        (["model.first=blend"], "model.first: blend has parts itself|model.parts"),
        (["model.first=dcn_v2"], "model.first: dcn_v2 has a first stage itself"),
        (["model.first=[ease]"], r"model.first=\['ease'\]: it has to be the name of a model"),
        (["parts.ease.model.x=1"], "parts.ease has no effect: the first stage is called first"),
        (["loss=bpr"], "loss=bpr does not train model=deepfm; choose loss=candidates"),
        (["model.network.width=3"], "width is not a setting"),
    ],
)
def test_settings_that_cannot_be_are_named(overrides, words):
    with pytest.raises(ConfigError, match=words):
        checked_task(compose(["model=deepfm", *overrides]))


def test_impressions_that_are_not_there_are_asked_for_by_name(shop):
    settings = compose([*SHOP, *SMALL, "model=deepfm", "loss.learn_from=impressions"])
    with pytest.raises(ConfigError, match=r"set data\.columns\.event_type and data\.shown"):
        run_training(settings, shop / "run")
