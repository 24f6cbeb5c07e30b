import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest

from recsys.config.checking import wrong
from recsys.config.composition import compose
from recsys.config.targets import ALLOW, resolve
from recsys.errors import ConfigError
from recsys.metrics.registry import direction_of
from recsys.ranges import BelowOne, Count, Positive, Range, Share
from recsys.tasks.lifecycle import checked_task


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        (3, int, None),
        (True, int, "a whole number"),
        (2.0, int, "a whole number"),
        (1, float, None),
        ("1", float, "a number"),
        (0, bool, "true or false"),
        (None, int | None, None),
        ("x", int | None, "a whole number or null"),
        (0, Count, "at least 1"),
        ("many", Count, "a whole number at least 1"),
        (0.0, Positive, "above 0"),
        (float("nan"), Positive, "a finite number above 0"),
        (float("inf"), Positive, "a finite number above 0"),
        (1, Share, None),
        (1, BelowOne, "from 0 to below 1"),
        (5, Annotated[int, Range(2, 4)], "from 2 to 4"),
        ("day", Literal["hour", "day"], None),
        ("month", Literal["hour", "day"], "hour or day"),
        ("item_id", Sequence[str], "a list: [value, …]"),
        ([1, 0], Sequence[Count], "a list of which each is at least 1"),
        ({"a": 1}, dict[str, str], "keys with values that are text"),
    ],
)
def test_a_value_is_checked_against_its_annotation(value, hint, words):
    assert wrong(value, hint) == words


def test_settings_that_yaml_does_not_name_have_the_constructors_default():
    settings = compose(["model=popularity", "data=transactions", "data.path=x.csv"])
    assert settings.evaluation.arguments["max_users"] is None
    assert settings.evaluation.arguments["split"]["test_days"] == 28
    changed = compose(["model=gmf", "model.dropout=0.25", "evaluation.split.test_days=7"])
    assert changed.model.arguments["dropout"] == 0.25
    assert changed.evaluation.build().split.test_days == 7
    assert "num_users" not in changed.model.arguments  # supplied by the framework


def test_every_argument_of_lightnings_trainer_can_be_set():
    trainer = compose(["trainer.precision=bf16-mixed", "trainer.enable_progress_bar=false"]).trainer
    assert trainer.arguments["precision"] == "bf16-mixed"
    assert trainer.arguments["enable_progress_bar"] is False


SERIES = ("data=sales", "data.path=x.csv", "data.step=day")


def assert_refused(sentence: str, *overrides: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        compose(overrides)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.lr=-1", "train.lr=-1: it has to be above 0"),
        ("train.validate_every=0", "train.validate_every=0: it has to be at least 1"),
        ("evaluation.ks=10", r"evaluation.ks=10: it has to be a list"),
        ("model=null", "model=null: choose a model; it is one of: auto_arima"),
        ("model.embedding_dim=0", "model.embedding_dim=0: it has to be at least 1"),
        ("model.embedding_dim=1000000000", "it has to be at most 65536"),
        ("+model.depth=2", "model.depth is not a setting of GMF; it is one of: dropout, embed"),
        ("seed=1.5", "seed=1.5: it has to be a whole number"),
        ("seed=-1", "seed=-1: it has to be from 0 to 4294967295"),
        ("seed=5000000000", "it has to be from 0 to 4294967295"),
        ("evaluation.split=null", "choose a split with evaluation=NAME"),
        ("loss=null", "loss=null: choose a loss; it is one of: bce, bpr"),
        ("train=null", "train=null: set single keys of it, such as train.lr=0.01"),
        ("loss.temperature=-1", "above 0"),
        ("loss.batch_size=9223372036854775808", "it has to be at most 2147483647"),
        ("train.lr=inf", "train.lr=inf: it has to be a finite number above 0"),
        ("evaluation.split.test_days=-3", "evaluation.split.test_days=-3"),
        ("evaluation.split.test_days=9223372036854775808", "a number of at most 18 digits above 0"),
    ],
)
def test_a_setting_of_another_type_or_range_is_refused_before_anything_is_read(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        compose(["model=gmf", override]).evaluation.build()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.calendar=[week]", "each is hour, weekday, month or year"),
        ("model.distribution=normal", "model.distribution=normal: it has to be quantiles or stud"),
        ("model.context_length=0", "model.context_length=0: it has to be at least 1 or null"),
        ("model.lags=[]", "model.lags=.*: it has to be a list of at least one value or null"),
        ("model.seasons_averaged=[0]", "a list of which each is at least 1"),
        ("model.dropout=1", "model.dropout=1: it has to be from 0 to below 1"),
    ],
)
def test_settings_of_a_forecaster_have_a_type_and_a_range(override, sentence):
    assert_refused(sentence, *SERIES, override)


def test_what_each_member_of_an_ensemble_has_of_its_own_is_checked():
    ensemble = [*SERIES, "model=lstm_ensemble"]
    sentence = "model.members.hidden_size=-3: it has to be at least 1"
    assert_refused(sentence, *ensemble, "model.members=[{hidden_size: -3}, {}]")
    sentence = "model.members.width is not a setting of LSTMForecas"
    assert_refused(sentence, *ensemble, "model.members=[{width: 3}, {}]")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model=[gmf]", r"model=\[gmf\] is a list, and a run has one model: choose a model"),
        (
            "data=[a,b]",
            r"data=\[a,b\] is a list, and a run has one data source: choose a data source",
        ),
        ("model=3", "model=3: choose a model; it is one of: auto_arima"),
        ("+logger=[1]", "choose a logger; it is one of: default"),
        ("callbacks=null", "callbacks=null: choose a callback; it is one of: none"),
        ("schedule=0.5", "schedule=0.5: choose a schedule; it is one of: constant"),
        ("~seed", "seed is missing, and no run is without: leave ~seed out"),
        ("~model", "model is missing, and no run is without: leave ~model out"),
        ("train.lr='${nowhere}'", "train.lr: Interpolation key 'nowhere' not found"),
        ("data.items=3", r"data.items=3: it has to be keys with values: \{key: value\} or null"),
        ("train.pretrained=1", "train.pretrained=1: it has to be keys with values"),
        ("data.users._target_=torch.optim.SGD", "it has to be recsys.data.attributes.Attr"),
        ("train._target_=torch.optim.SGD", "train._target_=torch.optim.SGD"),
        ("choices.model=3", "choices.model=3: it has to be text"),
        ("optimizer.betas=[0.9]", "optimizer.betas=.*: it has to be a list of 2 values"),
    ],
)
def test_what_is_no_name_no_section_and_no_reference_is_refused(override, sentence):
    assert_refused(sentence, "data=transactions", "data.path=x.csv", "model=gmf", override)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("trainer.precision=12", "trainer.precision=12: it has to be"),
        ("trainer.max_epochs=3", "trainer.max_epochs is no setting: set train.max_epochs"),
        ("trainer.accumulate_grad_batches=0", "accumulate_grad_batches=0: it has to be a whole"),
        ("+optimizer.momentum=0.9", "optimizer.momentum is not a setting of AdamW"),
        ("optimizer.betas=[0.9,2]", "optimizer: Invalid beta parameter at index 1: 2"),
        ("schedule.pct_start=12", "schedule: Expected float between 0 and 1 pct_start"),
        ("schedule.div_factor=0", "schedule: float division by zero"),
    ],
)
def test_trainer_optimizer_and_schedule_are_refused_before_anything_is_read(override, sentence):
    overrides = ["data=transactions", "data.path=nowhere.csv", "model=gmf", override]
    with pytest.raises(ConfigError, match=sentence):
        checked_task(compose(overrides))


@pytest.mark.parametrize("model", ["mlp", "neumf"])
def test_a_tower_has_at_least_one_layer(model):
    sentence = "hidden_dims=.*: it has to be a list of at least one"
    assert_refused(sentence, f"model={model}", "model.hidden_dims=[]")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's own package with a model, and a folder with its recipe."""
    (tmp_path / "ourshop").mkdir()
    (tmp_path / "ourshop" / "__init__.py").touch()
    (tmp_path / "ourshop" / "models.py").write_text(
        "from recsys.models.recommenders.popularity import Popularity\n\n\n"
        "class Loud(Popularity):\n"
        "    def __init__(self, num_users: int, num_items: int, volume: int = 11) -> None:\n"
        "        super().__init__(num_users, num_items)\n"
        "        self.volume = volume\n"
    )
    (tmp_path / "recipes" / "model").mkdir(parents=True)
    (tmp_path / "recipes" / "model" / "loud.yaml").write_text("_target_: ourshop.models.Loud\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(ALLOW, "")
    yield tmp_path
    for name in [each for each in sys.modules if each.partition(".")[0] == "ourshop"]:
        del sys.modules[name]


def test_a_package_of_the_users_own_is_refused_until_it_is_allowed(package):
    with pytest.raises(ConfigError, match=r"allow=\[PACKAGE\]"):
        compose(["model=loud"], config_dir="recipes")
    settings = compose(["model=loud", "model.volume=3", "allow=[ourshop]"], config_dir="recipes")
    assert settings.model.build(num_users=2, num_items=2).volume == 3
    assert settings.plain["allow"] == ["ourshop"]


@pytest.mark.usefixtures("own_metrics")
def test_what_an_allowed_package_registers_is_there_at_once(package):
    (package / "ourshop" / "__init__.py").write_text(
        "from recsys.metrics.registry import metric\n\n\n"
        "@metric('luck', family='ranking', title='Luck', direction='max', meaning='Of the draw.')\n"
        "def luck(hits, num_truth, k):\n"
        "    return hits[:, 0].double()\n"
    )
    with pytest.raises(ConfigError, match="luck@10 is no metric"):
        direction_of("test/new/luck@10")
    compose(["model=popularity", "allow=[ourshop]"])
    assert direction_of("test/new/luck@10") == "max"


def test_an_allowed_package_that_does_not_exist_is_named(package):
    with pytest.raises(ConfigError, match=r"allow=\[oursh0p\]: the package cannot be imported"):
        compose(["model=popularity", "allow=[oursh0p]"])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("os.system", "_target_=os.system is not allowed"),
        ("recsys.nowhere.X", "there is no module recsys.nowhere"),
        ("recsys.models.recommenders.gmf.GMFF", "did you mean GMF?"),
    ],
)
def test_a_target_that_cannot_be_built_is_named(path, sentence):
    with pytest.raises(ConfigError, match=sentence):
        resolve(path)
