"""An ensemble answers with the median of its members, which learn apart."""

from functools import partial

import pytest
import torch

from recsys.data.windows import Window
from recsys.errors import ConfigError
from recsys.models.forecaster import Forecaster
from recsys.models.forecasters.ensemble import ForecasterEnsemble
from recsys.models.forecasters.lstm import LSTMForecaster

HORIZON, QUANTILES = 9, (0.1, 0.5, 0.9)


def make(num_members: int, **options) -> ForecasterEnsemble:
    torch.manual_seed(0)
    member = partial(LSTMForecaster, hidden_size=4, context_length=14, **options)
    model = ForecasterEnsemble(3, 1, HORIZON, "day", QUANTILES, member, [{}] * num_members)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def window_of(size: int) -> Window:
    generator = torch.Generator().manual_seed(size)
    return Window(
        torch.arange(size) % 3,
        10 * torch.rand(size, 28, generator=generator),
        torch.zeros(size, dtype=torch.int64),
        torch.rand(size, 28 + HORIZON, 1, generator=generator),
    )


def test_members_have_settings_of_their_own_and_the_ensemble_reads_as_far_back_as_any() -> None:
    member = partial(LSTMForecaster, hidden_size=4, context_length=14)
    settings = [{"seasons_averaged": 1}, {"seasons_averaged": 5, "hidden_size": 8}]
    model = ForecasterEnsemble(3, 1, HORIZON, "day", QUANTILES, member, settings).eval()
    assert isinstance(model, Forecaster)
    assert [one.history_length for one in model.members] == [21, 49]
    assert [one.head.in_features for one in model.members] == [4, 8]
    assert model.history_length == 49
    assert model(window_of(2)).shape == (2, HORIZON, 3)


@pytest.mark.parametrize("num_members", [2, 3, 4, 5])
@torch.no_grad()
def test_the_answer_is_the_median_of_each_quantile(num_members: int) -> None:
    model = make(num_members).eval()
    window = window_of(4)
    members = torch.stack([member(window) for member in model.members])
    assert members.std(dim=0).min() > 0
    answer = model(window)
    assert torch.allclose(answer, members.quantile(0.5, dim=0), atol=1e-5)
    assert (answer.diff(dim=2) > 0).all()


def test_in_training_every_row_is_answered_by_one_member() -> None:
    model = make(3).train()
    window = window_of(7)
    answer = model(window)
    assert answer.shape == (7, HORIZON, 3)
    for member, rows in zip(model.members, ((0, 3), (3, 5), (5, 7)), strict=True):
        part = Window(*(field[slice(*rows)] for field in window))
        assert torch.allclose(answer[slice(*rows)], member(part), atol=1e-5)
    answer[:3].sum().backward()
    first, *others = (member.head.weight.grad.abs().sum() for member in model.members)
    assert first > 0
    assert not any(others)


def test_members_take_the_scale_of_covariates() -> None:
    model = make(2)
    model.scale_covariates(torch.tensor([5.0]))
    assert [member.covariate_scale.tolist() for member in model.members] == [[5.0], [5.0]]


def test_a_likelihood_sees_each_window_on_the_scale_of_its_member() -> None:
    model = make(2, distribution="student_t").train()
    assert model.is_student_t
    assert model.student_t.shape == (3,)
    z, scaling = model.scaled(window_of(4))
    assert torch.allclose(scaling.invert(z), model(window_of(4)))


def test_one_member_is_no_ensemble() -> None:
    with pytest.raises(ConfigError, match="model.members has 1: an ensemble has two"):
        make(1)


def test_a_misspelt_setting_of_a_member_is_named() -> None:
    member = partial(LSTMForecaster, hidden_size=4)
    with pytest.raises(ConfigError, match=r"model\.members: hiden_size is no setting of a member"):
        ForecasterEnsemble(3, 1, HORIZON, "day", QUANTILES, member, [{"hiden_size": 3}, {}])
    with pytest.raises(ConfigError, match=r"model\.members: season is no setting of a member"):
        ForecasterEnsemble(3, 1, HORIZON, "day", QUANTILES, member, [{"season": 3}, {}])
