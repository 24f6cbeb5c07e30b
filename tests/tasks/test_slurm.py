"""A training that srun starts as several processes, each of which runs the whole command."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from torch import distributed

from recsys.config.composition import compose
from recsys.errors import ConfigError
from recsys.tasks import lifecycle as experiment

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not distributed.is_gloo_available(), reason="this torch has no gloo"
)


def srun(folder: str) -> list[tuple[int, str]]:
    """Two tasks on two machines, which are both this one; their exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {
        "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_NNODES": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_LOCALID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        *(sys.executable, str(ROOT / "scripts" / "train.py")),
        *("data=transactions", "data.path=sales.csv", "evaluation.min_buyers=1", "model=gmf"),
        *("train.max_epochs=2", "trainer=ddp", "trainer.strategy=ddp", "trainer.devices=1"),
        *("trainer.num_nodes=2", "trainer.enable_progress_bar=false"),
    ]
    tasks = [
        subprocess.Popen(
            [*command, f"hydra.run.dir={folder}"],
            env=os.environ | job | {"SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [task.communicate(timeout=300)[0] for task in tasks]
    return [(task.returncode, text) for task, text in zip(tasks, said, strict=True)]


@pytest.mark.slow
def test_two_machines_train_one_model_and_the_first_writes_its_run(shop):
    tasks = srun("run")
    for code, said in tasks:
        assert code == 0, said
    # the other one leaves after training
    assert ["recall@10" in said for _, said in tasks] == [True, False]
    metrics = json.loads((shop / "run" / "metrics.json").read_text())
    assert metrics["test/new/ndcg@10"] > 0
    files = {file.name for file in (shop / "run").rglob("*") if file.is_file()}
    assert files >= {"report.html", "per_user.parquet", "best.ckpt", "finished.json"}
    assert not [name for name in files if "partial" in name]
    record = json.loads((shop / "run" / "run.json").read_text())
    assert record["resumed"] == []


def test_a_process_that_does_not_find_the_first_one_says_how_to_give_all_one_folder(
    shop, monkeypatch
):
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr(experiment, "RANK_0_SECONDS", 0.0)
    data = ["data=transactions", "data.path=sales.csv", "evaluation.min_buyers=1"]
    config = compose(["trainer=ddp", "trainer.strategy=ddp", *data])
    with pytest.raises(ConfigError, match=r"has not begun in .*hydra\.run\.dir=FOLDER"):
        experiment.run_training(config, shop / "run")
    assert not (shop / "run").exists()


def test_a_task_that_trains_alone_waits_for_nobody(shop, monkeypatch):
    # eight seeds with one srun, say
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr(experiment, "RANK_0_SECONDS", 0.0)
    settings = ["data=transactions", "data.path=sales.csv", "model=popularity"]
    experiment.run_training(compose([*settings, "evaluation.min_buyers=1"]), shop / "run")
    assert (shop / "run" / "metrics.json").is_file()
