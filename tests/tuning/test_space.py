"""What a space holds, how it is written down, and what is refused."""

import pytest

from recsys.errors import ConfigError
from recsys.tuning.settings import read_settings
from recsys.tuning.space import (
    Choice,
    Range,
    current_values,
    grid,
    holds,
    loaded,
    overrides_of,
    read_space,
)

SPACE = read_space(
    {
        "model.dims": {"choose": [[16, 8], [32]]},
        "train.lr": {"low": "1e-3", "high": 0.1, "log": True},
        "loss.negatives": {"low": 1, "high": 5, "step": 2},
        "model.dropout": {"low": 0.0, "high": 0.3, "step": 0.1},
    },
    "a.yaml",
)
CONFIG = {
    "model": {"dims": [32], "dropout": 0.2, "bias": None},
    "train": {"lr": 0.01},
    "loss": {"negatives": 3},
    "choices": {"model": "neumf"},
}


def test_a_space_is_read_with_whole_numbers_texts_of_numbers_and_lists():
    assert SPACE["model.dims"] == Choice(([16, 8], [32]))
    assert SPACE["train.lr"] == Range(0.001, 0.1, log=True)
    assert isinstance(SPACE["loss.negatives"].distribution().to_internal_repr(3), float)
    assert SPACE["loss.negatives"].grid() == [1, 3, 5]
    assert SPACE["model.dropout"].grid() == [0.0, 0.1, 0.2, 0.3]
    assert SPACE["train.lr"].grid() is None


def test_the_configuration_as_it_is_lies_in_the_space_or_not():
    params = current_values(SPACE, CONFIG)
    assert params == {
        "model.dims": "[32]",
        "train.lr": 0.01,
        "loss.negatives": 3,
        "model.dropout": 0.2,
    }
    assert holds(SPACE, params)
    for key, value in (
        ("model.dims", "[64]"),
        ("train.lr", 1.0),
        ("loss.negatives", 2),
        ("model.dropout", 0.25),
        ("model.dropout", None),
    ):
        assert not holds(SPACE, params | {key: value}), key


def test_a_group_of_the_configuration_stands_for_what_was_chosen():
    groups = read_space({"model": {"choose": ["gmf", "neumf"]}}, "a.yaml")
    assert current_values(groups, CONFIG) == {"model": "neumf"}


def test_values_are_written_as_a_command_line_takes_them():
    params = {"model.dims": "[16, 8]", "train.lr": 1e-05, "a.b": None, "c": True, "loss": "bce"}
    assert overrides_of(params) == [
        "model.dims=[16, 8]",
        "train.lr=1e-05",
        "a.b=null",
        "c=true",
        "loss=bce",
    ]
    assert loaded("[16, 8]") == [16, 8]


def test_a_grid_is_every_combination_and_needs_steps():
    small = {key: SPACE[key] for key in ("model.dims", "loss.negatives")}
    points = list(grid(small))
    assert len(points) == 6
    assert points[0] == {"model.dims": "[16, 8]", "loss.negatives": 1}
    with pytest.raises(ConfigError, match=r"train\.lr is a range without steps"):
        list(grid(SPACE))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "space is empty"),
        ({"a": 3}, r"space\.a is 3: write \{choose"),
        ({"a": {"choose": []}}, r"space\.a\.choose is \[\]: write a list"),
        ({"a": {"low": 1}}, r"space\.a has low: write"),
        ({"a": {"low": 1, "hihg": 2}}, r"space\.a has low, hihg: write"),
        ({"a": {"low": "one", "high": 2}}, r"space\.a\.low is 'one', which is not a number"),
        ({"a": {"low": 3, "high": 2}}, r"low 3 is above high 2"),
        ({"a": {"low": 0, "high": 2, "log": True}}, "a logarithmic range begins above 0"),
    ],
)
def test_what_is_no_space_is_said(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_space(settings, "a.yaml")


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match=r"train\.lrr is not a setting; did you mean lr"):
        current_values(read_space({"train.lrr": {"choose": [1]}}, "a.yaml"), CONFIG)


def test_settings_come_from_a_file_and_an_experiment_brings_its_own_model(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("overrides: [model=gmf]\nspace: {train.lr: {choose: [1]}}\ntrials: 7\n")
    settings, trials = read_settings(str(file), ["seed=2"], None, "none")
    assert (settings.overrides, trials) == (("model=gmf", "seed=2"), 7)
    assert (settings.sampler, settings.pruner) == ("tpe", "none")
    assert read_settings(str(file), ["model=mf"], None, None)[0].overrides == ("model=mf",)
    assert read_settings(str(file), ["experiment=demo"], None, None)[0].overrides == (
        "experiment=demo",
    )


@pytest.mark.parametrize(
    ("content", "sampler", "sentence"),
    [
        ("spaec: {}", None, r"spaec is not a setting of a sweep; did you mean space"),
        ("space: {train.lr: {choose: [1]}}", "tpee", "sampler=tpee does not exist; did you mean"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(tmp_path, content, sampler, sentence):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        read_settings(str(tmp_path / "mine.yaml"), [], sampler, None)


def test_a_sweep_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match=r"sweep=neumff does not exist; did you mean neumf"):
        read_settings("neumff", [], None, None)
