"""What a search makes of what its trials say, and that none of them outlives its end."""

import queue
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from recsys.tuning import search
from recsys.tuning.search import Effort, Search
from recsys.tuning.settings import SweepSettings
from recsys.tuning.study import SweepStudy
from recsys.tuning.workers import Message

SETTINGS = SweepSettings(
    "mine", ("model=gmf",), {"train.lr": {"low": 0.001, "high": 0.1}}, "random", "median"
)
CONFIG = {
    "seed": 1,
    "choices": {"model": "gmf", "data": "shop"},
    "train": {"lr": 0.5, "monitor": "val/new/ndcg@10", "max_epochs": 4},
    "evaluation": {"views": ["new"]},
}


class Script:
    """In place of the processes of trials: says at once what it is told to say."""

    def __init__(self, *said: list[dict[str, Any] | None]) -> None:
        self.said, self.overrides = list(said), list[list[str]]()
        self.running, self.most = set[int](), 0

    def __call__(
        self,
        number: int,
        overrides: list[str],
        folder: Path,
        threads: int,
        inbox: "queue.Queue[Message]",
        tested: bool = False,
    ) -> "Process":
        self.overrides.append(overrides)
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        for content in self.said.pop(0):
            inbox.put(Message(number, content))
        (folder / "checkpoints").mkdir(parents=True)
        return Process(self, number)


class Process:
    def __init__(self, script: Script, number: int) -> None:
        self.script, self.number = script, number

    def end(self) -> None:
        self.script.running.discard(self.number)

    def why_it_ended(self) -> str:
        return "killed (signal 9)"


@pytest.fixture
def study(tmp_path: Path) -> SweepStudy:
    return SweepStudy(SETTINGS, CONFIG, "maximize", f"sqlite:///{tmp_path / 'study.db'}", "sweep")


def run(study: SweepStudy, folder: Path, script: Script, trials: int, jobs: int = 1) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(search, "Worker", script)
        Search(SETTINGS, study, folder, Effort(trials, jobs, 1)).run()


def done(value: float) -> dict[str, Any]:
    return {"done": {"value": value, "epochs": 2, "seconds": 1.0}}


def test_every_trial_ends_with_a_value_or_a_reason_and_its_process_with_it(study, tmp_path):
    good = [{"step": epoch, "value": 0.5} for epoch in (1, 2)]
    script = Script(
        *([*good, done(0.5), None] for _ in range(5)),
        [{"failed": "no memory"}, None],
        [None],
        [{"step": 1, "value": 0.1}, {"step": 2, "value": 0.1}, {"step": 3, "value": 0.9}],
    )
    run(study, tmp_path, script, trials=8)
    ended = study.trials()
    assert [trial.state for trial in ended[4:]] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.FAIL,
        TrialState.PRUNED,
    ]
    reasons = [trial.user_attrs.get("reason") for trial in ended[4:]]
    assert reasons == [None, "no memory", "killed (signal 9)", "pruned after epoch 2"]
    assert not script.running
    assert not list(tmp_path.rglob("checkpoints"))
    assert script.overrides[0] == ["model=gmf", f"train.lr={ended[0].params['train.lr']!r}"]


def test_as_many_trials_run_at_a_time_as_there_are_jobs(study, tmp_path):
    script = Script(*([done(0.1), None] for _ in range(5)))
    run(study, tmp_path, script, trials=5, jobs=2)
    assert script.most == 2
    assert len(study.ranked()) == 5


def test_what_was_abandoned_goes_on_before_anything_is_drawn(study, tmp_path):
    left = study.draw()
    script = Script([done(0.3), None], [done(0.1), None])
    run(study, tmp_path, script, trials=2)
    assert [trial.value for trial in study.trials()] == [0.3, 0.1]
    assert script.overrides[0][-1] == f"train.lr={left.params['train.lr']!r}"


def test_an_interrupted_search_ends_its_trials_and_leaves_them_to_be_continued(
    study, tmp_path, monkeypatch
):
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "report", interrupted)
    script = Script([{"step": 1, "value": 0.1}], [])
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path, script, trials=2, jobs=2)
    assert not script.running
    assert [trial.state for trial in study.trials()] == [TrialState.RUNNING] * 2
    assert len(list(tmp_path.rglob("checkpoints"))) == 2
