"""Parts of a blend are composed as if each were trained alone."""

from pathlib import Path

import pytest

from recsys.config.composition import compose
from recsys.config.settings import Settings
from recsys.errors import ConfigError

BLEND = ["model=blend", "model.parts=[ease,gmf]"]


def test_a_part_has_the_settings_that_it_would_have_alone():
    part, alone = compose(BLEND).parts["gmf"], compose(["model=gmf"])
    assert part.loss == alone.loss
    assert part.train == alone.train
    assert part.optimizer == alone.optimizer
    assert part.model.plain == {**alone.model.plain, "_partial_": True}
    assert part.choices.model == "gmf"


def test_settings_of_one_part_are_set_under_its_name_and_those_of_training_for_all():
    own = ["parts.gmf.model.embedding_dim=3", "parts.gmf.loss=bpr", "parts.gmf.train.lr=0.5"]
    settings = compose([*BLEND, *own, "train.max_epochs=7", "train.lr=0.1"])
    part = settings.parts["gmf"]
    assert part.model.arguments["embedding_dim"] == 3
    assert part.loss is not None
    assert part.loss.resolve().name == "bpr"
    assert part.train.max_epochs == 7
    assert part.train.lr == part.optimizer.arguments["lr"] == 0.5  # its own stands above
    assert settings.parts["ease"].loss is None
    assert settings.model.arguments["parts"]["gmf"]["embedding_dim"] == 3


def test_the_same_model_is_a_part_twice_under_two_names():
    second = ["model.parts=[ease,ease@strong]", "parts.strong.model.regularization=1000"]
    parts = compose(["model=blend", *second]).parts
    assert parts["ease"].model.arguments["regularization"] is None
    assert parts["strong"].model.arguments["regularization"] == 1000


def test_what_was_composed_says_the_same_when_it_is_read_again():
    settings = compose([*BLEND, "parts.gmf.train.lr=0.5"])
    assert Settings.from_plain(settings.plain) == settings


def test_a_run_without_parts_is_configured_as_before():
    assert "parts" not in compose(["model=gmf"]).plain


def test_parts_may_stand_in_an_experiment_and_be_models_of_the_users_own(tmp_path: Path):
    for name, text in {
        "experiment/mine": (
            "# @package _global_\ndefaults:\n  - override /model: blend\n"
            "model:\n  parts: [ease, dear]\nparts:\n  ease:\n    model: {regularization: 5}\n"
        ),
        "model/dear": "_target_: recsys.models.recommenders.ease.EASE\nregularization: 9\n",
    }.items():
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir()
        file.write_text(text)
    added = "parts.ease.model.memory_gb=2"
    parts = compose(["experiment=mine", added], config_dir=str(tmp_path)).parts
    assert parts["ease"].model.arguments["regularization"] == 5
    assert parts["ease"].model.arguments["memory_gb"] == 2
    assert parts["dear"].model.arguments["regularization"] == 9


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model=blend"], "model.parts has no value"),
        (["model=blend", "model.parts=[ease,eas]"], "eas does not exist; did you mean ease?"),
        (["model=blend", "model.parts=[ease,ease]"], "ease twice: give one of them a name"),
        (["model=blend", "model.parts=[ease,blend]"], "blend has parts itself"),
        (["model=blend", "model.parts=ease"], "it has to be a list of models"),
        (["model=blend", "model.parts=[ease,3]"], "it has to be a list of models"),
        ([*BLEND, "parts.ials.model.factors=3"], "parts.ials has no effect: model.parts names"),
        ([*BLEND, "parts.gmf.lr=3"], "parts.gmf.lr is not a setting"),
        ([*BLEND, "parts.gmf=3"], "parts.gmf=3: set single keys"),
        ([*BLEND, "parts.gmf.model.dim=3"], "parts.gmf.model.dim is not a setting; it is one of"),
        ([*BLEND, "parts.gmf.model.dropout=2"], "parts.gmf: model.dropout=2: it has to be"),
        ([*BLEND, "parts.gmf.train.lr=-1"], "parts.gmf: train.lr=-1: it has to be above 0"),
        ([*BLEND, "parts.ease.loss.batch_size=3"], "this part has no loss"),
        ([*BLEND, "model.scale=rank"], "it has to be standard, max or log or null"),
        ([*BLEND, "model.weights={ease: -1, gmf: 2}"], "keys with values that are at least 0"),
        (["model=gmf", "parts.ease.model.x=3"], "model=gmf has no parts; choose model=blend"),
    ],
)
def test_parts_and_settings_that_cannot_be_are_named(overrides, sentence):
    with pytest.raises(ConfigError) as refused:
        compose(overrides)
    assert sentence in str(refused.value)
