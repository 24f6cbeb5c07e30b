import numpy as np
import pytest
import torch
from benchmarks import implicit_ours, recbole_ours
from benchmarks.split import PairSplit


@pytest.fixture
def split(tmp_path):
    """Two tastes: users of even number like even items."""
    generator = np.random.default_rng(1)
    user, item = np.nonzero(
        (np.arange(12)[:, None] % 2 == np.arange(10)[None] % 2) & (generator.random((12, 10)) < 0.7)
    )
    first = np.r_[True, np.diff(user) != 0]
    split = PairSplit(12, 10, user[~first], item[~first], user[first], item[first])
    split.save(tmp_path / "split.npz")
    return tmp_path / "split.npz"


def test_our_neumf_answers_what_is_compared(split):
    request = {
        "split": str(split),
        "threads": 1,
        "seed": 1,
        "epochs": 2,
        "batch_size": 8,
        "embedding_dim": 4,
        "hidden_dims": [8, 4],
        "lr": 0.01,
        "dropout": 0.0,
    }
    result = recbole_ours.measure(request)
    assert result["train_seconds"] > 0
    assert result["evaluation_seconds"] > 0
    assert 0 <= result["ndcg"] <= 1


@pytest.mark.parametrize(
    ("model", "settings", "width"),
    [
        ("ials", {"regularization": 0.01}, 4),
        ("mf", {"dropout": 0.1, "batch_size": 4, "lr": 0.1, "weight_decay": 0.0}, 5),
    ],
)
def test_our_factors_are_written_after_every_epoch(split, tmp_path, model, settings, width):
    request = {
        "split": str(split),
        "threads": 1,
        "seed": 1,
        "epochs": 3,
        "embedding_dim": 4,
        "model": model,
        "settings": settings,
        "factors": str(tmp_path),
    }
    seconds = implicit_ours.measure(request)["seconds"]
    assert len(seconds) == 3
    assert seconds == sorted(seconds)
    written = [np.load(tmp_path / f"{epoch}.npz") for epoch in range(3)]
    assert written[0]["user"].shape == (12, width)  # the bias of an item is a factor
    assert written[0]["item"].shape == (10, width)
    assert bool((written[0]["user"][:, 4:] == 1).all())
    assert not np.array_equal(written[1]["item"], written[2]["item"])


def test_the_clock_does_not_count_what_is_written(tmp_path, monkeypatch):
    now = iter([0.0, 2.0, 10.0, 13.0, 20.0])
    monkeypatch.setattr(implicit_ours.time, "perf_counter", lambda: next(now))
    clock = implicit_ours.Clock(tmp_path)
    for _ in range(2):
        clock.keep(torch.zeros(2, 1), torch.zeros(3, 1))
    assert clock.seconds == [2.0, 5.0]
