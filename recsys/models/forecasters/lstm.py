"""A global LSTM encoder–decoder: one network for all series.

Axes: B windows, T steps of history, C steps of context, H steps of the horizon, F covariates,
K features known ahead, G lag features, Q quantiles, S series.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from scipy import stats
from torch import Tensor, nn

from recsys.data.windows import Window
from recsys.errors import ConfigError
from recsys.ranges import BelowOne, Depth, Positive, Width, Widths, require_levels
from recsys.steps import DAY_SECONDS, SEASONALITY, Step, later

CalendarPart = Literal["hour", "weekday", "month", "year"]
# ten thousand years
DAYS_10000_YEARS = 3_652_425
# of each lag, or as many as there are
SEASONS_AVERAGED = 2
WEEK_HOURS = 168
CONTEXT = {"hour": 168, "day": 56, "week": 26, "month": 12}
# steps that a forecast may read
LONGEST = 1_000_000
# width of the calendar features
CALENDAR = {"hour": 4, "weekday": 7, "month": 8, "year": 4}
STUDENT_T_FREEDOM = 4.0
# a window whose steps hardly differ is not blown up to noise
SMALLEST_SPREAD = 0.1
# sinh of more is no float32; no sale is a million times its usual size
LARGEST_LOG = 30.0


class Scaling(NamedTuple):
    """How a window is brought to a common scale: z = (asinh(y / unit) - center) / spread.

    Linear for y far below the unit and logarithmic far above it; every field is (B, 1).
    """

    unit: Tensor
    center: Tensor
    spread: Tensor

    def apply(self, y: Tensor) -> Tensor:
        """Units of y (B, ·) -> z (B, ·)."""
        return (torch.asinh(y / self.unit) - self.center) / self.spread

    def invert(self, z: Tensor) -> Tensor:
        """The inverse: z (B, H, Q) -> units of y (B, H, Q)."""
        log = z * self.spread.unsqueeze(2) + self.center.unsqueeze(2)
        return torch.sinh(log.clamp(-LARGEST_LOG, LARGEST_LOG)) * self.unit.unsqueeze(2)


class LSTMForecaster(nn.Module):
    """An LSTM reads the context, another one goes on over the horizon with what is known ahead, and
    a linear layer reads every step off: direct, without a loop over its own forecasts.

    The middle quantile begins as the mean of the same step of earlier seasons, and learns what to
    add. A series that training did not see has the embedding row `num_series`, which stays zero.
    Missing steps count as the mean of their window and carry a mark.

    Args:
        num_series, num_covariates, horizon: S, F, H.
        step: hour, day, week or month.
        quantiles: levels, ascending, 0.5 among them.
        season: steps after which sales repeat; None: as usual for the step.
        context_length: C; None: 168 hours, 56 days, 26 weeks or 12 months.
        lags: steps after which a series is read again, the season among them; None: `lags_of`.
        seasons_averaged: how many earlier values, a lag apart, are read as their mean beside the
            last one; of each lag, or the same of all.
        hidden_size, num_layers: of each LSTM.
        embedding_dim: of a series.
        dropout: of what the last layer reads.
        linear_below: share of a window's mean size below which y counts as it is, above which as
            its logarithm.
        calendar: of "hour", "weekday", "month" (where in it) and "year" (where in it; learn this
            from two years or more), which alone tells months apart; None: the weekday, of months
            the year.
        distribution: "quantiles" (each learned) or "student_t" (location and scale learned, four
            degrees of freedom).

    Sources: Hochreiter and Schmidhuber, Neural Computation 1997; Wen et al., A Multi-Horizon
    Quantile Recurrent Forecaster, 2017; the skip connection over seasonal lags follows Lai et al.,
    SIGIR 2018.
    """

    covariate_scale: Tensor
    student_t: Tensor

    def __init__(
        self,
        num_series: int,
        num_covariates: int,
        horizon: int,
        step: Step,
        quantiles: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9),
        season: int | None = None,
        context_length: Width | None = None,
        lags: Widths | None = None,
        seasons_averaged: Width | Widths = SEASONS_AVERAGED,
        hidden_size: Width = 64,
        num_layers: Depth = 1,
        embedding_dim: Width = 8,
        dropout: BelowOne = 0.0,
        linear_below: Positive = 0.1,
        calendar: Sequence[CalendarPart] | None = (),
        distribution: Literal["quantiles", "student_t"] = "quantiles",
    ) -> None:
        super().__init__()
        self.num_series, self.num_covariates, self.horizon = num_series, num_covariates, horizon
        self.step, self.quantiles = step, tuple(quantiles)
        self.season = season or SEASONALITY[step]
        self.lags = lags_of(step, self.season) if lags is None else tuple(lags)
        if isinstance(seasons_averaged, int):
            seasons_averaged = (seasons_averaged,) * len(self.lags)
        self.seasons_averaged = tuple(seasons_averaged)
        self.context_length = CONTEXT[step] if context_length is None else context_length
        self.linear_below = linear_below
        usual: tuple[CalendarPart, ...] = ("year",) if step == "month" else ("weekday",)
        self.calendar = usual if calendar is None else tuple(calendar)
        self._check(distribution)
        reach = (n * lag for n, lag in zip(self.seasons_averaged, self.lags, strict=True))
        self.history_length = self.context_length + max(reach)
        if self.history_length > LONGEST:
            raise ConfigError(
                f"model.lags times model.seasons_averaged reach {self.history_length:,} steps back,"
                f" and {LONGEST:,} are the most; lower them"
            )
        self.register_buffer("covariate_scale", torch.ones(num_covariates))
        known = sum(CALENDAR[name] for name in self.calendar) + 2 * num_covariates  # K
        lagged = 3 * len(self.lags)  # G
        static = embedding_dim + 1
        self.embedding = nn.Embedding(num_series + 1, embedding_dim, padding_idx=num_series)
        self.encoder = nn.LSTM(
            2 + known + lagged + static, hidden_size, num_layers, batch_first=True
        )
        self.decoder = nn.LSTM(
            1 + known + lagged + static, hidden_size, num_layers, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.is_student_t = distribution == "student_t"
        at = student_t_quantiles(torch.tensor(self.quantiles))
        self.register_buffer("student_t", at, persistent=False)
        self.head = nn.Linear(hidden_size, 2 if self.is_student_t else len(self.quantiles))
        self.skip = nn.Linear(known + lagged, 1, bias=False)
        self._initialize()

    def scale_covariates(self, scale: Tensor) -> None:
        """Takes how much each covariate usually moves, (F,)."""
        self.covariate_scale.copy_(scale)

    def forward(self, window: Window) -> Tensor:
        """Quantiles (B, H, Q), in units of y."""
        z, scaling = self.scaled(window)
        return scaling.invert(z)

    def scaled(self, window: Window) -> tuple[Tensor, Scaling]:
        """Quantiles on the scale of the window (B, H, Q), and that scale."""
        history = self._last_steps(window.history, self.history_length)  # (B, T)
        seen = ~torch.isnan(history)
        y = torch.where(seen, history, 0.0)
        scaling = self._scaling(y[:, -self.context_length :], seen[:, -self.context_length :])
        mark = seen.to(y.dtype)
        z = scaling.apply(y) * mark  # (B, T)
        lags, lags_ahead = self._lags(z, mark)  # (B, C, G), (B, H, G)
        known, known_ahead = self._known(window)  # (B, C, K), (B, H, K)
        static = torch.cat([self.embedding(window.series), scaling.spread.log()], dim=1)
        static = static.unsqueeze(1)  # (B, 1, ·)
        own = torch.stack([z, mark], dim=2)[:, -self.context_length :]  # (B, C, 2)
        context = [own, known, lags, static.expand(-1, self.context_length, -1)]
        _, state = self.encoder(torch.cat(context, dim=2))
        place = torch.linspace(0.0, 1.0, self.horizon, dtype=z.dtype, device=z.device)
        place = place.reshape(1, -1, 1).expand(z.shape[0], -1, -1)
        ahead = [place, known_ahead, lags_ahead, static.expand(-1, self.horizon, -1)]
        hidden, _ = self.decoder(torch.cat(ahead, dim=2), state)  # (B, H, hidden)
        out = self.head(self.dropout(hidden))
        middle = out[..., :1] + self.skip(torch.cat([known_ahead, lags_ahead], dim=2))  # (B, H, 1)
        widths = nn.functional.softplus(out[..., 1:])  # (B, H, 1 or Q - 1)
        if self.is_student_t:
            return middle + (widths + 1e-3) * self.student_t, scaling
        below = self.quantiles.index(0.5)
        down = middle - torch.cumsum(widths[..., :below], dim=2).flip(2)
        up = middle + torch.cumsum(widths[..., below:], dim=2)
        return torch.cat([down, middle, up], dim=2), scaling

    def _scaling(self, y: Tensor, seen: Tensor) -> Scaling:
        """Of the context (B, C); a window without sales has the unit `linear_below`."""
        count = seen.sum(dim=1, keepdim=True).clamp(min=1).to(y.dtype)
        level = y.abs().sum(dim=1, keepdim=True) / count
        unit = torch.where(level > 0, level, 1.0) * self.linear_below
        log = torch.asinh(y / unit)  # 0 where missing
        center = log.sum(dim=1, keepdim=True) / count
        square = torch.where(seen, (log - center).square(), 0.0).sum(dim=1, keepdim=True) / count
        return Scaling(unit, center, square.sqrt().clamp(min=SMALLEST_SPREAD))

    def _lags(self, z: Tensor, mark: Tensor) -> tuple[Tensor, Tensor]:
        """For every season: z in the last one that is known, its mark, and the mean of several."""
        total, context = self.history_length, self.context_length
        past: list[Tensor] = []
        ahead: list[Tensor] = []
        for lag, averaged in zip(self.lags, self.seasons_averaged, strict=True):
            # last season first, (seasons, B, ·)
            ends = range(total - lag, total - (averaged + 1) * lag, -lag)
            within = torch.arange(self.horizon, device=z.device) % lag  # (H,)
            for features, places in (
                (past, [slice(end - context, end) for end in ends]),
                (ahead, [end + within for end in ends]),
            ):
                values = torch.stack([z[:, place] for place in places])
                marks = torch.stack([mark[:, place] for place in places])
                mean = values.sum(dim=0) / marks.sum(dim=0).clamp(min=1)
                features += [values[0], marks[0], mean]
        return torch.stack(past, dim=2), torch.stack(ahead, dim=2)

    def _known(self, window: Window) -> tuple[Tensor, Tensor]:
        """Calendar and covariates of the context and of the horizon."""
        length = window.history.shape[1] + self.horizon
        steps = torch.arange(-self.context_length - self.horizon, 0, device=window.start.device)
        time = later(window.start.unsqueeze(1), steps + length, self.step)  # (B, C + H)
        parts = [self._calendar(time)]
        if self.num_covariates:
            covariates = self._last_steps(window.covariates, self.context_length + self.horizon)
            there = ~torch.isnan(covariates)
            mark = there.to(covariates.dtype)
            values = torch.where(there, covariates, 0.0)
            # what differs from the usual of the window
            usual = values[:, : self.context_length].sum(dim=1, keepdim=True)
            usual = usual / mark[:, : self.context_length].sum(dim=1, keepdim=True).clamp(min=1)
            parts += [(values - usual) / self.covariate_scale * mark, mark]
        known = torch.cat(parts, dim=2)
        return known[:, : self.context_length], known[:, self.context_length :]

    def _calendar(self, time: Tensor) -> Tensor:
        """Features of local seconds (B, ·) -> (B, ·, K)."""
        second = torch.remainder(time, DAY_SECONDS)
        day = time // DAY_SECONDS  # `torch.div` with a rounding mode exports through float32
        year = torch.remainder(day * 10_000, DAYS_10000_YEARS).float() / DAYS_10000_YEARS
        parts = [torch.zeros_like(time, dtype=torch.float32).unsqueeze(2)[..., :0]]
        for name in self.calendar:
            if name == "weekday":
                # 1970-01-01 was a Thursday
                weekday = torch.remainder(day + 3, 7).unsqueeze(2)
                parts.append((weekday == torch.arange(7, device=time.device)).float())
            elif name == "hour":
                parts.append(_circle(second.float() / DAY_SECONDS, 2))
            elif name == "month":
                # the days after a pay day are few
                parts.append(_circle(year * 12, 4))
            else:
                parts.append(_circle(year, 2))
        return torch.cat(parts, dim=2)

    def _last_steps(self, values: Tensor, length: int) -> Tensor:
        """The last `length` steps of (B, T) or (B, T, F); those before the first are missing."""
        missing = values.new_full((values.shape[0], length, *values.shape[2:]), torch.nan)
        return torch.cat([missing, values], dim=1)[:, -length:]

    def _initialize(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.zeros_(self.skip.weight)
        with torch.no_grad():
            self.embedding.weight[self.num_series] = 0.0
            self.head.weight[0] = 0.0
            self.head.bias[0] = 0.0
            # the means over seasons, third of every season's features
            first = self.skip.in_features - 3 * len(self.lags)
            self.skip.weight[0, first + 2 :: 3] = 1 / len(self.lags)

    def _check(self, distribution: str) -> None:
        levels = self.quantiles
        require_levels(levels)
        if not 0 < levels[0] <= levels[-1] < 1:
            raise ConfigError(f"evaluation.quantiles={list(levels)}: they lie between 0 and 1")
        if distribution == "student_t" and len(levels) < 2:
            raise ConfigError(
                "evaluation.quantiles=[0.5]: model.distribution=student_t has a width, so ask for"
                " quantiles beside the median too"
            )
        if self.step == "month" and (within := sorted(set(self.calendar) - {"year"})):
            raise ConfigError(
                f"model.calendar={list(self.calendar)}: {within[0]} says nothing of a step that is"
                " a whole month; set model.calendar=[year], or []"
            )
        if self.season not in self.lags:
            raise ConfigError(
                f"model.lags={list(self.lags)} leaves out the season of {self.season} {self.step}s,"
                " by which baselines and metrics measure: add it, or set data.seasonality"
            )
        if len(self.seasons_averaged) != len(self.lags):
            raise ConfigError(
                f"model.seasons_averaged={list(self.seasons_averaged)} has"
                f" {len(self.seasons_averaged)} values and model.lags={list(self.lags)}"
                f" {len(self.lags)}: give one for each lag, or a single number"
            )


def lags_of(step: str, season: int) -> tuple[int, ...]:
    """Where nothing is said: the season; of hours that repeat after a day the week too."""
    repeats_daily = step == "hour" and season == SEASONALITY["hour"]
    return (season, WEEK_HOURS) if repeats_daily else (season,)


def student_t_quantiles(quantiles: Tensor) -> Tensor:
    """Of the standard Student-t distribution with four degrees of freedom, (Q,) -> (Q,)."""
    values = stats.t.ppf(quantiles.double().cpu().numpy(), STUDENT_T_FREEDOM)
    return torch.as_tensor(values, dtype=torch.float32, device=quantiles.device)


def _circle(turns: Tensor, harmonics: int) -> Tensor:
    """Sine and cosine of 1 … `harmonics` times an angle in turns, (B, ·) -> (B, ·, 2 harmonics)."""
    fraction = turns - torch.floor(turns)
    times = torch.arange(1, harmonics + 1, device=turns.device)
    angle = 2 * math.pi * fraction.unsqueeze(2) * times
    return torch.cat([angle.sin(), angle.cos()], dim=2)
