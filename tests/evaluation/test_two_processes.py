"""Two processes that judge a share each say what one process says about all."""

import json
import socket
from pathlib import Path

import pytest
import torch
from scored_phases import ScoreTable, made_up_phase
from torch import distributed, multiprocessing

from recsys.data.interactions import PhaseData
from recsys.data.shards import Shard
from recsys.evaluation.ranking import RankingEvaluator, evaluate

KS = (1, 5)
VIEWS = ("new", "all")


def odd_phase() -> tuple[PhaseData, ScoreTable]:
    phase, model = made_up_phase(num_users=23, num_items=17, seed=5)
    return phase, model


def judge_a_share(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    phase, model = odd_phase()
    evaluator = RankingEvaluator(
        phase, views=VIEWS, ks=KS, device=torch.device("cpu"), keep_users=True, block_mb=0
    )
    asked = []
    for users in evaluator.blocks(model, Shard(rank, 2)):
        evaluator.update(model, users)
        asked += users.tolist()
    found = {"metrics": evaluator.compute(), "asked": asked, "rows": len(evaluator.per_user())}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_gloo_available(), reason="this torch has no gloo")
def test_two_processes_say_what_one_says_and_count_nobody_twice(tmp_path: Path) -> None:
    phase, model = odd_phase()
    expected = evaluate(model, phase, views=VIEWS, ks=KS)
    num_asked = int((phase.truth.lengths() > 0).sum())
    assert num_asked % 2 == 1, "an even share for both would prove nothing"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(judge_a_share, args=(port, str(tmp_path)), nprocs=2)

    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert (
        sorted(found[0]["asked"] + found[1]["asked"])
        == torch.nonzero(phase.truth.lengths()).squeeze(1).tolist()
    )
    assert found[0]["asked"]
    assert found[1]["asked"]
    assert found[0]["rows"] + found[1]["rows"] == len(expected.per_user)
    for metrics in (found[0]["metrics"], found[1]["metrics"]):
        assert metrics["all/users"] == num_asked
        assert {"all/coverage@5", "new/gini@1", "new/novelty@5"} <= set(metrics)
        assert metrics == pytest.approx(expected.metrics, abs=1e-9)
