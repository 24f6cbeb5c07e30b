"""Where forecasts start: rolling origins for validation and test.

Axes: W windows, S series, H steps of the horizon.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recsys.data.panel import SalesPanel
from recsys.errors import ConfigError, DataError
from recsys.ranges import BelowOne, Count, Steps, Whole, require_declared
from recsys.steps import later, steps_between


@dataclass(frozen=True)
class ForecastPhase:
    """What a model is fitted on and evaluated on. Steps are counted in their series, from 0.

    Attributes:
        name: "val", "test-1", "test-2" … in order of time, or "full_data".
        fit_until: steps of every series that are fitted, int64 (S,); 0: none. A series that is
            evaluated all the same is new to the model.
        origin: first step to forecast, int64 (W, S); -1 where a series is not evaluated.
            Forecasts of a window may read everything before its origin.
        horizon: steps to forecast.
        counts: what is fitted, what is evaluated and what is not, for the report.
        left_out: reason to number of series that are in no phase of the split.
    """

    name: str
    fit_until: np.ndarray
    origin: np.ndarray
    horizon: int
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def learned(self) -> np.ndarray:
        """Series that a network has seen in training, bool (S,): from one step there is nothing to
        learn.
        """
        return self.fit_until >= 2


@dataclass(frozen=True)
class RollingOrigin:
    """The test windows are the last ones; validation windows lie before them; fitted is what lies
    before a phase's first origin.

    Which series are in is decided once, on the steps before the first test window, so that every
    phase judges the same ones. A series is evaluated at an origin when it has begun, has not
    retired (too long without a sale to still have a whole horizon of stored zeros, judged by its
    past) and has its whole truth.

    Attributes:
        horizon: steps to forecast (H).
        windows: test windows.
        validation_windows: windows to choose a model by; 0: no phase "val".
        stride: steps between origins; None: `horizon`.
        align: "calendar": origins are the same instants for all series, counted back from the end
            of the panel; "end": counted back from each series' own end.
        refit: True: a phase for each test window, fitted on everything before it; False: one phase
            of all test windows.
        min_steps: steps that a series needs before the first test window. One that begins later is
            new: evaluated as soon as it has so many, never fitted before.
        min_selling_share: only series that sold in more than this share of the steps before the
            first test window, counted from the first step of the panel ("end": of the series);
            above 0, series that begin later are left out.
    """

    horizon: Count
    windows: Count = 1
    validation_windows: Whole = 1
    stride: Steps | None = None
    align: Literal["calendar", "end"] = "calendar"
    refit: bool = True
    min_steps: Count = 1
    min_selling_share: BelowOne = 0.0

    def __post_init__(self) -> None:
        require_declared(self, "evaluation.split")

    def __call__(self, panel: SalesPanel, seed: int) -> list[ForecastPhase]:
        """Cuts the panel into phases, in order of time: "val" and the tests."""
        if panel.retire_after is not None and panel.retire_after < self.horizon:
            raise ConfigError(
                f"data.retire_after={panel.retire_after} is shorter than"
                f" evaluation.split.horizon={self.horizon}: a series would end before a forecast of"
                " it does; raise the one or lower the other"
            )
        self._require_length(panel)
        test, val = self._origins(panel)
        chosen, newcomer, left_out = self._choose(panel, test[0])
        groups = {"val": val} if self.validation_windows else {}
        if self.refit:
            groups |= {f"test-{w + 1}": test[w : w + 1] for w in range(self.windows)}
        else:
            groups["test-1"] = test
        return [
            replace(self._phase(panel, name, origin, chosen, newcomer), left_out=left_out)
            for name, origin in groups.items()
        ]

    @property
    def held_out(self) -> int:
        """Steps from the first validation origin to the end."""
        stride = self.stride or self.horizon
        held = self.horizon + stride * (self.windows - 1)
        if self.validation_windows:
            held += self.horizon + stride * (self.validation_windows - 1)
        return held

    def _require_length(self, panel: SalesPanel) -> None:
        if self.align == "calendar":
            steps, of = _span(panel), f"{panel.report.source} covers"
        else:
            steps, of = int(panel.known.max()), f"the longest series of {panel.report.source} has"
        if steps <= self.held_out:
            validation = (
                f" and {self.validation_windows} for validation" if self.validation_windows else ""
            )
            raise DataError(
                f"{of} {steps:,} steps (of a {panel.step}), but {self.windows} test windows"
                f"{validation} of {self.horizon} steps hold out {self.held_out:,} and leave none to"
                " fit on; lower evaluation.split.windows, validation_windows or horizon"
            )

    def _origins(self, panel: SalesPanel) -> tuple[np.ndarray, np.ndarray]:
        """Origins of test (W, S) and validation (V, S), counted in steps of their series; below 1
        where one has not begun.
        """
        stride = self.stride or self.horizon
        test_back = self.horizon + stride * np.arange(self.windows)[::-1]
        val_back = self.horizon + stride * np.arange(self.validation_windows)[::-1]
        val_back = val_back + test_back.max()
        if self.align == "end":
            end = panel.known
        else:
            # rounded down where the grid of a series lies between those of others: the step that
            # holds the instant is forecast, not read
            end = steps_between(panel.start, _end(panel), panel.step)
        return end - test_back[:, None], end - val_back[:, None]

    def _choose(
        self, panel: SalesPanel, first: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Series that are in and series that may come in later, each bool (S,), and how many are
        left out why; `first`: first test origin (S,).
        """
        before = np.clip(first, 0, panel.known)
        too_short = (before > 0) & (before < self.min_steps)
        later = before == 0
        reasons = {f"fewer than {self.min_steps} steps before": too_short}
        chosen, newcomer = ~too_short & ~later, later
        if self.min_selling_share > 0:
            rare = chosen & ~self._sells(panel, before)
            reasons[f"sold in {self.min_selling_share:g} or less of the steps before"] = rare
            reasons["not begun before"] = later
            chosen, newcomer = chosen & ~rare, np.zeros(len(panel), dtype=bool)
        left_out = {
            f"series left out: {reason} the first test window": int(mask.sum())
            for reason, mask in reasons.items()
            if mask.any()
        }
        return chosen, newcomer, left_out

    def _sells(self, panel: SalesPanel, before: np.ndarray) -> np.ndarray:
        """Series that sold in enough of their first `before` (S,) steps, bool (S,)."""
        sold = _sum_before(panel, panel.y > 0, before)
        steps = before
        if self.align == "calendar":
            steps = before + steps_between(panel.start.min(), panel.start, panel.step)
        return sold > self.min_selling_share * steps

    def _phase(
        self,
        panel: SalesPanel,
        name: str,
        origin: np.ndarray,
        chosen: np.ndarray,
        newcomer: np.ndarray,
    ) -> ForecastPhase:
        fit_until = np.where(chosen | newcomer, np.clip(origin[0], 0, panel.known), 0)
        fit_until[newcomer & (fit_until < self.min_steps)] = 0
        begun = (origin >= 1) & chosen | (origin >= self.min_steps) & newcomer
        alive = begun & ~self._retired(panel, origin)
        evaluated = alive & (origin + self.horizon <= panel.known)
        fitted = fit_until > 0
        for window, anyone in enumerate(evaluated.any(axis=1)):
            if not anyone:
                raise DataError(
                    f"{panel.report.source}: none of {len(panel):,} series can be evaluated in"
                    f" window {window + 1} of phase {name}: {int((chosen | newcomer).sum()):,} pass"
                    f" evaluation.split.min_steps={self.min_steps} and"
                    f" min_selling_share={self.min_selling_share:g}, {int(begun[window].sum()):,}"
                    f" of these have begun and {int(alive[window].sum()):,} have not retired; lower"
                    " windows, min_steps or min_selling_share, or raise data.retire_after"
                )
        counts = {
            "series_fitted": int(fitted.sum()),
            "steps_fitted": int(fit_until.sum()),
            "windows": len(origin),
            "series_asked": int(evaluated.any(axis=0).sum()),
            "series_new": int((evaluated.any(axis=0) & ~fitted).sum()),
            "forecasts": int(evaluated.sum()),
            "not_asked_not_begun": int(((chosen | newcomer) & ~begun).sum()),
            "not_asked_retired": int((begun & ~alive).sum()),
            "not_asked_without_whole_truth": int((alive & ~evaluated).sum()),
        }
        return ForecastPhase(name, fit_until, np.where(evaluated, origin, -1), self.horizon, counts)

    def _retired(self, panel: SalesPanel, origin: np.ndarray) -> np.ndarray:
        """Too long without a sale before the origin to still have a horizon of zeros, (W, S)."""
        if panel.retire_after is None:
            return np.zeros(origin.shape, dtype=bool)
        sale = np.where(panel.y > 0, panel.step_numbers, -1)
        retired = np.empty(origin.shape, dtype=bool)
        for window, at in enumerate(origin):
            last = np.maximum.reduceat(np.where(panel.before(at), sale, -1), panel.indptr[:-1])
            retired[window] = at - 1 - last > panel.retire_after - self.horizon
        return retired


@dataclass(frozen=True)
class FitAll:
    """No evaluation: the model is fitted on every known step of the series long enough.

    Attributes:
        horizon: steps that it will forecast (H).
        min_steps: steps that a series needs.
    """

    horizon: Count
    min_steps: Count = 1

    def __post_init__(self) -> None:
        require_declared(self, "evaluation.split")

    def __call__(self, panel: SalesPanel, seed: int) -> list[ForecastPhase]:
        """One phase that asks nothing."""
        fitted = panel.known >= self.min_steps
        if not fitted.any():
            raise DataError(
                f"the longest series of {panel.report.source} has {int(panel.known.max()):,} steps,"
                f" fewer than evaluation.split.min_steps={self.min_steps}"
            )
        fit_until = np.where(fitted, panel.known, 0)
        counts = {"series_fitted": int(fitted.sum()), "steps_fitted": int(fit_until.sum())}
        nothing = np.empty((0, len(panel)), dtype=np.int64)
        return [ForecastPhase("full_data", fit_until, nothing, self.horizon, counts)]


def _end(panel: SalesPanel) -> int:
    """Local seconds at which the last known step of the panel is over."""
    return int(later(panel.start, panel.known, panel.step).max())


def _span(panel: SalesPanel) -> int:
    """Steps from the first of the panel to its last known one."""
    return int(steps_between(panel.start.min(), _end(panel), panel.step))


def _sum_before(panel: SalesPanel, values: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Sum of `values` (N,) over the first `until` (S,) steps of every series, int64 (S,)."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    first = panel.indptr[:-1]
    return total[first + until] - total[first]
