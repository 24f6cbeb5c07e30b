"""Training proves that it learns, repeats itself, resumes exactly, and stops in order."""

import json
import math
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from tastes import new_items, settings

from recsys.errors import ConfigError, TrainingError
from recsys.evaluation.ranking import evaluate
from recsys.models.recommender import Query
from recsys.models.recommenders.gmf import GMF
from recsys.models.recommenders.matrix_factorization import MatrixFactorization
from recsys.models.recommenders.neumf import NeuMF
from recsys.models.recommenders.popularity import Popularity
from recsys.training import fit as training
from recsys.training import row_wise as rows
from recsys.training.checkpoints import load_checkpoint
from recsys.training.losses.bce import BCE
from recsys.training.losses.bpr import BPR
from recsys.training.losses.full_softmax import FullSoftmax
from recsys.training.losses.sampled_softmax import SampledSoftmax

MODELS = {
    "mf": lambda u, i: MatrixFactorization(u, i, 8, dropout=0.3),
    "gmf": lambda u, i: GMF(u, i, 8, init_std=0.3),
    "neumf": lambda u, i: NeuMF(u, i, 8, (16, 8), dropout=0.1, init_std=0.3),
}
LOSSES = {
    "bce": BCE(64, 4),
    "bpr": BPR(64, 2),
    "sampled_softmax": SampledSoftmax(64, 8),
    "corrected_softmax": SampledSoftmax(64, 8, popularity_power=0.5, temperature=0.5, log_q=True),
    "full_softmax": FullSoftmax(16),
}


def fit(
    data, folder: Path, *, model="mf", loss="full_softmax", epochs=4, lr=0.05, seed=1, **options
):
    torch.manual_seed(seed)
    network = MODELS[model](data.vocabulary.num_users, data.vocabulary.num_items)
    chosen = settings(
        epochs,
        lr,
        0.01,
        options.pop("schedule", "one_cycle"),
        options.pop("trainer", None),
        seed=seed,
        row_wise=options.pop("row_wise", None),
        stop_after=options.pop("stop_after", None),
    )
    objective = options.pop("objective", LOSSES[loss]).objective(
        network, data.interactions, seed=seed
    )
    return network, training.fit(network, objective, chosen, folder, **options)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


class StopInEpoch(pl.Callback):
    """Sends what ^C sends, in the middle of an epoch (counted from 0)."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_what_popularity_cannot(val_data, tmp_path, model, loss):
    network, _ = fit(val_data, tmp_path, model=model, loss=loss, epochs=25)
    popularity = Popularity(val_data.vocabulary.num_users, val_data.vocabulary.num_items)
    popularity.fit(val_data.interactions)
    learned, naive = (
        evaluate(m, val_data, views=("new",)).metrics["new/ndcg@10"] for m in (network, popularity)
    )
    assert learned > 1.3 * naive


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(val_data, tmp_path):
    one, _ = fit(val_data, tmp_path / "one", loss="bce")
    two, _ = fit(val_data, tmp_path / "two", loss="bce")
    other, _ = fit(val_data, tmp_path / "other", loss="bce", seed=2)
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize(
    ("loss", "schedule", "row_wise"),
    [
        ("bce", "one_cycle", None),
        ("full_softmax", "constant", None),
        ("sampled_softmax", "one_cycle", True),
    ],
)
def test_a_run_stopped_after_epoch_two_and_resumed_equals_the_uninterrupted_one(
    val_data, tmp_path, loss, schedule, row_wise
):
    validation = new_items(val_data)
    options = {"model": "neumf", "loss": loss, "schedule": schedule, "validation": validation}
    options["row_wise"] = row_wise
    whole, expected = fit(val_data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        fit(val_data, tmp_path / "stopped", callbacks=[StopInEpoch(2)], **options)
    assert load_checkpoint(tmp_path / "stopped" / "last.ckpt")["epoch"] == 1
    resumed, found = fit(val_data, tmp_path / "stopped", **options)
    assert same(whole, resumed)
    assert (found.epochs, found.value) == (expected.epochs, expected.value)
    last = [load_checkpoint(tmp_path / name / "last.ckpt") for name in ("whole", "stopped")]
    assert all(
        torch.equal(last[0]["state_dict"][key], last[1]["state_dict"][key])
        for key in last[0]["state_dict"]
    )


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_interrupt_in_the_first_epoch_leaves_the_untrained_state(val_data, tmp_path, epochs):
    options = {"loss": "bce", "epochs": epochs}
    whole, _ = fit(val_data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        fit(val_data, tmp_path / "stopped", callbacks=[StopInEpoch(0)], **options)
    resumed, _ = fit(val_data, tmp_path / "stopped", **options)
    assert same(whole, resumed)


def test_an_interrupt_leaves_the_signal_as_it_was(val_data, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(val_data, tmp_path, callbacks=[StopInEpoch(1)])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_folder_is_read_and_not_trained_again(val_data, tmp_path):
    first, fitted = fit(val_data, tmp_path)
    stamp = (tmp_path / "last.ckpt").stat().st_mtime_ns
    again, repeated = fit(val_data, tmp_path)
    assert same(first, again)
    assert repeated.epochs == fitted.epochs
    assert (tmp_path / "last.ckpt").stat().st_mtime_ns == stamp


def test_a_loss_that_is_no_number_stops_with_one_sentence_and_keeps_no_broken_model(
    val_data, tmp_path
):
    with pytest.raises(TrainingError, match=r"loss is NaN or infinite \(epoch \d.*lower train.lr"):
        fit(val_data, tmp_path, loss="bce", lr=1e30, epochs=5, schedule="constant")
    state = load_checkpoint(tmp_path / "last.ckpt")["state_dict"]
    assert all(bool(value.isfinite().all()) for value in state.values())
    assert not (tmp_path / "finished.json").exists()


def test_the_model_returned_is_the_best_epoch_not_the_last(val_data, tmp_path):
    network, fitted = fit(
        val_data,
        tmp_path,
        epochs=20,
        lr=0.5,
        schedule="constant",
        validation=new_items(val_data, patience=3),
    )
    found = evaluate(network, val_data, views=("new",)).metrics["new/ndcg@10"]
    assert found == pytest.approx(fitted.value, abs=1e-6)
    assert fitted.epochs == load_checkpoint(tmp_path / "best.ckpt")["epoch"] + 1
    # patience: at most three validations without a better value
    assert load_checkpoint(tmp_path / "last.ckpt")["epoch"] + 1 <= fitted.epochs + 3


def test_a_refit_stops_early_on_the_schedule_of_the_whole_run(val_data, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(val_data, tmp_path / "whole", callbacks=[StopInEpoch(2)])
    fit(val_data, tmp_path / "short", stop_after=2)
    states = [
        load_checkpoint(tmp_path / name / "last.ckpt")["state_dict"] for name in ("whole", "short")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_checkpoints_load_without_pickle_and_no_partial_file_stays(val_data, tmp_path):
    _, fitted = fit(val_data, tmp_path, validation=new_items(val_data))
    assert {p.name for p in tmp_path.iterdir()} == {"last.ckpt", "best.ckpt", "finished.json"}
    assert json.loads((tmp_path / "finished.json").read_text())["epochs"] == fitted.epochs
    assert math.isfinite(fitted.samples_per_second)


@pytest.mark.parametrize("monitor", ["val/new/ndgc@10", "val/new/ndcg@7"])
def test_a_monitor_that_is_not_measured_is_named(val_data, tmp_path, monitor):
    with pytest.raises(ConfigError, match=rf"train\.monitor='{monitor}' is not among"):
        fit(val_data, tmp_path, validation=new_items(val_data, monitor))


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ({"max_epochs": 3}, r"trainer\.max_epochs is no setting: set train\.max_epochs"),
        ({"gradient_clip_val": 1.0}, r"trainer\.gradient_clip_val is no setting: set train\.grad"),
        ({"precison": 16}, "trainer: got an unexpected keyword argument 'precison'"),
    ],
)
def test_arguments_of_the_trainer_that_other_settings_decide_are_refused(
    val_data, tmp_path, trainer, sentence
):
    with pytest.raises(ConfigError, match=sentence):
        fit(val_data, tmp_path, trainer=trainer)


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({"gradient_clip": 1.0}, r"train\.gradient_clip=null"),
        ({"optimizer": partial(torch.optim.SGD, lr=0.1)}, "optimizer=adamw"),
    ],
)
def test_row_wise_updates_where_they_cannot_be_are_refused(val_data, tmp_path, options, needs):
    network = MODELS["mf"](val_data.vocabulary.num_users, val_data.vocabulary.num_items)
    objective = BCE(64, 4).objective(network, val_data.interactions, seed=1)
    how = replace(settings(2, 0.1, row_wise=True), **options)
    with pytest.raises(ConfigError, match=f"train.row_wise=true needs {needs}"):
        training.fit(network, objective, how, tmp_path)
    training.fit(network, objective, replace(how, row_wise=None), tmp_path / "whole")


def test_weights_that_the_last_step_breaks_are_not_kept(val_data, tmp_path):
    network = MODELS["mf"](val_data.vocabulary.num_users, val_data.vocabulary.num_items)
    # the loss of the only step is of the weights before it
    objective = FullSoftmax(10**6).objective(network, val_data.interactions, seed=1)
    with pytest.raises(TrainingError, match=r"after the last step: lower train.lr \(now 1e\+38"):
        training.fit(network, objective, settings(1, 1e38, 1e3, row_wise=False), tmp_path)
    assert not (tmp_path / "finished.json").exists()


def test_accumulated_gradients_still_finish_the_schedule(val_data, tmp_path):
    fit(val_data, tmp_path, epochs=3, trainer={"accumulate_grad_batches": 2})
    state = load_checkpoint(tmp_path / "last.ckpt")
    assert state["lr_schedulers"][0]["total_steps"] == state["global_step"]


def test_recent_purchases_weigh_more(val_data, tmp_path):
    days = val_data.interactions.days_since
    assert days.min() == 0
    objective = FullSoftmax(16, half_life_days=30)
    weighted, _ = fit(val_data, tmp_path / "weighted", objective=objective)
    plain, _ = fit(val_data, tmp_path / "plain")
    users = torch.arange(val_data.vocabulary.num_users)
    row, item = val_data.interactions.distinct.take(users)
    score = [
        m.score_all(Query(users, users.new_zeros(len(users), 0)))[row, item]
        for m in (weighted, plain)
    ]
    recent, old = days < 60, days > 300
    gain = (score[0] - score[1]).detach()
    assert gain[recent].mean() > gain[old].mean() + 0.1


def test_only_touched_rows_move_and_the_result_says_in_which_tables(val_data, tmp_path):
    options = {"loss": "bpr", "epochs": 25}
    network, fitted = fit(val_data, tmp_path / "rows", row_wise=True, **options)
    assert fitted.row_wise == ["user.weight", "item.weight"]
    again, repeated = fit(val_data, tmp_path / "rows", row_wise=True, **options)
    assert same(network, again)
    assert repeated.row_wise == fitted.row_wise
    _, plain = fit(val_data, tmp_path / "whole", loss="bpr", epochs=1)
    assert list(plain.row_wise) == []
    popularity = Popularity(val_data.vocabulary.num_users, val_data.vocabulary.num_items)
    popularity.fit(val_data.interactions)
    learned, naive = (
        evaluate(m, val_data, views=("new",)).metrics["new/ndcg@10"] for m in (network, popularity)
    )
    assert learned > 1.3 * naive


def test_choosing_how_tables_move_leaves_the_random_numbers_of_training_alone(
    val_data, tmp_path, monkeypatch
):
    plain, _ = fit(val_data, tmp_path / "plain", loss="bce")
    monkeypatch.setattr(rows, "LARGE_TABLE", 1)  # tries a batch, and finds no table large
    tried, fitted = fit(val_data, tmp_path / "tried", loss="bce")
    assert list(fitted.row_wise) == []
    assert same(plain, tried)


def test_recency_without_timestamps_is_refused(val_data, tmp_path):
    timeless = replace(val_data, interactions=replace(val_data.interactions, day=None))
    with pytest.raises(ConfigError, match=r"loss\.half_life_days=30 needs timestamps"):
        fit(timeless, tmp_path, objective=BCE(16, 1, half_life_days=30))


def test_two_processes_choose_an_epoch_and_leave_one_model(val_data, tmp_path, monkeypatch):
    # inside a job of Slurm, whose one task starts them
    ranks = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    for name, value in (ranks | {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train"}).items():
        monkeypatch.setenv(name, value)
    network, fitted = fit(
        val_data,
        tmp_path,
        model="gmf",
        loss="bce",
        epochs=3,
        schedule="constant",
        trainer={"devices": 2, "strategy": "ddp_spawn"},
        validation=new_items(val_data),
    )
    assert 1 <= fitted.epochs <= 3
    assert fitted.samples_per_second > 0
    found = evaluate(network, val_data, views=("new",)).metrics["new/ndcg@10"]
    assert found == pytest.approx(fitted.value, abs=1e-6)
