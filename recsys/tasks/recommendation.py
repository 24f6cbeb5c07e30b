"""What will this customer buy next: from a dataset to a judged recommender and its bundle."""

import time
import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from recsys.bundle.new_items import Reading
from recsys.comparison.units import UnitTable
from recsys.config.composition import model_targets
from recsys.config.settings import Settings
from recsys.config.targets import Target
from recsys.data.dataset import Dataset
from recsys.data.fingerprint import columns_fingerprint, fingerprint
from recsys.data.ids import Vocabulary
from recsys.data.interactions import Interactions, PhaseData, index_phase
from recsys.data.item_columns import groups_of_items, require_group_column, shipped_columns
from recsys.data.schema import Columns
from recsys.data.splits.phase import Phase
from recsys.errors import ConfigError, DataError, closest
from recsys.evaluation.blending import (
    Choice,
    choose_weights,
    learn_weights,
    part_scores,
    part_values,
)
from recsys.evaluation.cold_users import gain_of_attributes, has_attributes
from recsys.evaluation.examples import example_customers
from recsys.evaluation.ranking import RankingEvaluator, RankingResult, evaluate
from recsys.evaluation.segments import require_segment_column, segments
from recsys.evaluation.settings import RankingEvaluation
from recsys.evaluation.tradeoff import diversity_tradeoff
from recsys.metrics.registry import direction_of, require_direction
from recsys.models.inputs import HISTORY, HISTORY_QUANTITY, USER, InputVocabulary, ReadsItems
from recsys.models.recommender import (
    ChoosesSettings,
    DecidesWhomItServes,
    FitsInteractions,
    LoadsPretrained,
    ObservesInteractions,
    Recommender,
)
from recsys.models.recommenders.blend import Blend, require_blend
from recsys.models.recommenders.popularity import Popularity
from recsys.models.recommenders.two_stage import Lesson, TwoStage
from recsys.reports.attributes import attributes_sentence
from recsys.reports.console import print_data_report, print_leaderboard, say
from recsys.reports.facts import CHOSEN
from recsys.reports.labels import model_title
from recsys.reports.leaderboard import cutoff
from recsys.reports.page import Page
from recsys.runs.folder import RunFolder
from recsys.runs.record import RunRecord
from recsys.stored_files import readable
from recsys.tasks.fitting import (
    check_training,
    evaluation_device,
    fit_network,
    note_training,
    required_loss,
    seed_everything,
)
from recsys.tasks.provenance import provenance
from recsys.tasks.task import Direction
from recsys.tasks.units import RANKING_UNITS
from recsys.training.objective import ChecksModel, require_trains

if TYPE_CHECKING:
    # Lightning, which only a training loads
    import pytorch_lightning as pl

    from recsys.training.fit import FitResult

# categories of the model's inputs, in the folder of a run
INPUTS = "inputs.npz"
# counts of the users who bought only what is not in the catalogue, whatever becomes of them
WITHOUT_KNOWN_ITEM = ("truth_users_without_known_item", "truth_users_with_unknown_items_only")


# kinds of columns to how their terms are read
_READINGS: dict[str, Reading] = {
    "category": "category",
    "id": "category",
    "text": "text",
    "number": "number",
}


class Recommendation:
    """The task of recommenders."""

    name: str = "recommendation"
    data: type[Any] = Dataset
    evaluation: type[Any] = RankingEvaluation

    def check(self, settings: Settings) -> None:
        """Refuses what no recommender is trained or judged with."""
        key = "parts" if "parts" in settings.model.arguments else "first"
        if settings.parts and key == "parts":
            require_blend(settings.parts, settings.model.arguments)
        for name, each in settings.parts.items():
            _check_model(each, f"model.{key}: {name if key == 'parts' else each.choices.model}")
        if key == "first":
            _check_model(settings, f"model={settings.choices.model}")
        views = settings.evaluation.arguments.get("views")
        if views and list(views) == ["cold_items"] and not _reads_items(settings):
            raise ConfigError(
                f"evaluation.views=[cold_items]: model={settings.choices.model} knows only items"
                " that were bought, so nothing would be evaluated; choose a model that reads"
                " attributes of items, such as model=content, or add another view"
            )
        if settings.choices.evaluation != "none" and views is not None and not views:
            raise ConfigError(
                "evaluation.views=[]: nothing would be evaluated; name new, all, candidates,"
                " cold_items or cold_users, or choose evaluation=none"
            )
        if "/cold_users/" in settings.train.monitor and not settings.parts:
            _require_tells_cold_users_apart(settings)
        for name in settings.evaluation.arguments.get("baselines", ()):
            _baseline(name)

    def prepare(
        self,
        settings: Settings,
        data: Any,
        run: RunFolder,
        metrics: MutableMapping[str, float],
    ) -> "PreparedRecommendation":
        """Splits the purchases."""
        return PreparedRecommendation(settings, data, run, metrics)

    def direction(self, metric: str) -> Direction | None:
        """See `recsys.metrics.ranking`; names are "val/VIEW/METRIC@K"."""
        return direction_of(metric)

    def print_board(self, metrics: Mapping[str, float], settings: Settings) -> None:
        """The model beside its baselines, view by view."""
        print_leaderboard(
            dict(metrics), settings.choices.model, settings.evaluation.arguments["ks"]
        )

    def page(self, run: RunFolder) -> Page:
        """Leaderboard, customers, popularity, training, data."""
        from recsys.reports.facts import read_ranking_facts
        from recsys.reports.ranking_page import ranking_page

        return ranking_page(read_ranking_facts(run))

    def units(self, run: RunFolder) -> UnitTable:
        """One row per customer and view."""
        return RANKING_UNITS

    def load(self, run: RunFolder) -> nn.Module:
        """The recommender of the last phase."""
        inputs = _inputs(run)
        model = _build(_stored_model(run), run.read_vocabulary(), inputs)
        with readable(run.path / "checkpoints"):
            model.load_state_dict(run.read_weights())
        return model.eval()

    def export(self, run: RunFolder, folder: Path, *, seen: bool, because: bool = False) -> Path:
        """A bundle from strings to strings."""
        from recsys.export import write_recommender_bundle

        vocabulary, history = run.read_vocabulary(), run.read_history()
        return write_recommender_bundle(
            folder,
            model=self.load(run),  # type: ignore[arg-type]
            user_ids=vocabulary.user_ids,
            item_ids=vocabulary.item_ids,
            inputs=_inputs(run),
            popularity=Interactions(history, vocabulary.num_items).buyers.numpy(),
            history_indptr=history.indptr.numpy(),
            history_items=history.values.numpy(),
            history_age=run.read_ages(),
            history_quantity=run.read_quantities(),
            include_seen=seen,
            item_names=run.read_json("items.json") or None,
            item_columns=run.read_item_columns(),
            provenance=provenance(run),
            because=because,
            **_item_table(run),
        )


class PreparedRecommendation:
    """Purchases of one run, split.

    Args:
        settings, data, run, metrics: of `Recommendation.prepare`.
    """

    def __init__(
        self,
        settings: Settings,
        data: Dataset,
        run: RunFolder,
        metrics: MutableMapping[str, float],
    ) -> None:
        self._settings, self._dataset, self._run, self._metrics = settings, data, run, metrics
        self._evaluation: RankingEvaluation = settings.evaluation.build()
        if list(self._evaluation.views) == ["candidates"] and data.candidates is None:
            raise ConfigError(
                "evaluation.views=[candidates]: these data have no lists of candidates, so nothing"
                " would be evaluated; name new or all, or set data.candidates_path (data=presplit)"
            )
        self._reads_items = _reads_items(settings)
        if "cold_items" in self._evaluation.views and not self._reads_items:
            warnings.warn(
                f"evaluation.views: cold_items is left out, because model={settings.choices.model}"
                " knows only items that were bought; model=content reads attributes of items",
                stacklevel=2,
            )
        if self._evaluation.exposure_column is not None:
            require_group_column(data.items, self._evaluation.exposure_column)
        if self._evaluation.segment_column is not None:
            require_segment_column(data.users, self._evaluation.segment_column)
        start = time.perf_counter()
        self._rows: dict[str, Phase] = self._evaluation.split(data, settings.seed)
        _add_seconds(metrics, "data/seconds", start)
        self.phases: Sequence[str] = tuple(self._rows)
        self.split_fingerprint = fingerprint(
            *(rows for phase in self._rows.values() for rows in (phase.fit, phase.truth))
        )
        self._indexed: PhaseData | None = None
        # of validation, by the name of the part, "" where the model has none
        self._epochs: dict[str, int] = {}
        self._chosen: dict[str, dict[str, float]] = {}
        self._weights: Choice | None = None
        made_of = [*settings.parts.values()]
        if "parts" not in settings.model.arguments:  # a blend reads what its parts read
            made_of.append(settings)
        models = [each.model.resolve() for each in made_of]
        for found in dict.fromkeys(context_fingerprint(each, data.context) for each in models):
            if found:
                known = data.report.column_fingerprints
                known["events"] = known.get("events", "") + found

    def fit(
        self, phase: str, *, epochs: int | None, callbacks: "Sequence[pl.Callback]"
    ) -> "tuple[Any, FitResult | None]":
        """Closed-form models at once; others with validation, or for the epochs that it chose."""
        data, settings = self._index(phase), self._settings
        if phase == self.phases[0]:
            print_data_report(self._dataset.report)
            self._run.write_json("data_report.json", self._dataset.report.to_json())
        seed_everything(settings.seed)
        inputs = InputVocabulary(columns=data.columns)
        model = _build(settings.model, data.vocabulary, inputs)
        if self._run.writes:
            inputs.save(self._run.path / INPUTS, model)
        _require_known_users(model, data)
        if isinstance(model, Blend):
            self._fit_blend(model, phase, data)
            return model, None
        if isinstance(model, TwoStage):
            self._fit_first(model, phase, data)
            seed_everything(settings.seed)
        return model, self._fit_one(model, settings, phase, data, epochs, callbacks)

    def _fit_blend(self, blend: Blend, phase: str, data: PhaseData) -> None:
        """Every part by itself, for as many epochs as validation chose; then the weights, which
        stay as they are once they are chosen.
        """
        blend.observe(data.interactions)
        for (name, settings), part in zip(self._settings.parts.items(), blend.parts, strict=True):
            seed_everything(settings.seed)
            fitted = self._fit_one(
                part, settings, phase, data, self._epochs.get(name), (), name=name
            )
            if fitted is not None:
                self._epochs[name] = fitted.epochs
                note_training(self._metrics, phase, fitted, monitor_of(settings, part), name)
        if blend.given_weights is not None:
            _note_weights(self._run, blend, self._settings.train.monitor)
            return
        if self._weights is None:
            self._weights = self._choose_weights(blend, phase, data)
        chosen = self._weights
        blend.set_weights(chosen.weight, chosen.scale, chosen.length_scale)
        _note_weights(self._run, blend, self._settings.train.monitor, chosen=True)

    def _fit_first(self, model: TwoStage, phase: str, data: PhaseData) -> None:
        """The first stage on everything, as it is used, and another one on the earlier purchases of
        each user, from which the second learns.
        """
        settings, held = self._settings.parts["first"], model.hold_out(data.interactions)
        fitted = self._fit_one(
            model.first, settings, phase, data, self._epochs.get("first"), (), name="first"
        )
        if fitted is not None:
            self._epochs["first"] = fitted.epochs
            monitor = monitor_of(settings, model.first)
            note_training(self._metrics, phase, fitted, monitor, "first")
        seed_everything(settings.seed)
        first, start = model.unfitted_first(), time.perf_counter()
        if isinstance(first, FitsInteractions):
            first.fit(held.earlier)
            _add_seconds(self._metrics, "train/seconds", start)
        else:
            earlier = replace(data, interactions=held.earlier)
            name, epochs = "first_earlier", self._epochs["first"]
            self._chosen[name] = self._chosen.get("first", {})
            again = self._fit_one(first, settings, f"{phase}_", earlier, epochs, (), name=name)
            assert again is not None
            self._metrics["train/seconds"] = self._metrics.get("train/seconds", 0.0) + again.seconds
        for part in (model.first, first):
            part.requires_grad_(False)
        model.lesson = Lesson(first.eval(), held)

    def _choose_weights(self, blend: Blend, phase: str, data: PhaseData) -> Choice:
        """By the monitored metric, without training anything again."""
        if phase != "val":
            raise ConfigError(
                f"evaluation={self._settings.choices.evaluation} has no validation part, by which"
                " the weights of a blend are chosen: give them, as an earlier run said them"
                f" (model.weights={{{', '.join(f'{name}: …' for name in blend.names)}}})"
            )
        start = time.perf_counter()
        monitor = self._settings.train.monitor
        device = torch.device(evaluation_device(self._settings))
        evaluator = self._evaluator(data, monitor, device)
        _, view, key = monitor.split("/")
        found = part_scores(blend.to(device), evaluator, view)
        choose = learn_weights if blend.stacked else choose_weights
        choice = choose(found, key, blend.given_scale)
        blend.to("cpu").set_weights(choice.weight.cpu(), choice.scale, choice.length_scale.cpu())
        values = dict(zip(blend.names, part_values(found, key), strict=True))
        _say_weights(self._metrics, blend, choice, values, monitor)
        _add_seconds(self._metrics, "train/seconds", start)
        return choice

    def _fit_one(
        self,
        model: Any,
        settings: Settings,
        phase: str,
        data: PhaseData,
        epochs: int | None,
        callbacks: "Sequence[pl.Callback]",
        name: str = "",
    ) -> "FitResult | None":
        """The model of a run, or a part of it with its name and settings."""
        start, prefix = time.perf_counter(), f"parts.{name}." if name else ""
        if isinstance(model, FitsInteractions):
            model.fit(data.interactions)
            _add_seconds(self._metrics, "train/seconds", start)
            if isinstance(model, ChoosesSettings):
                _note_chosen(self._metrics, phase, f"{prefix}model", model.chosen())
            return None
        if isinstance(model, ObservesInteractions):
            model.observe(data.interactions)
            if isinstance(model, ChoosesSettings):
                _note_chosen(self._metrics, phase, f"{prefix}model", model.chosen())
        if settings.train.pretrained.gmf or settings.train.pretrained.mlp:
            fingerprints = self._dataset.report.fingerprint, self.split_fingerprint
            _load_pretrained(model, settings, data, fingerprints)
        # epochs are chosen beside what the loss took from the data, so a refit keeps both
        known = self._chosen.get(name, {})
        loss = replace(required_loss(settings).build(), **known)
        objective = loss.objective(model, data.interactions, seed=settings.seed)
        monitor = monitor_of(settings, model)
        fitted = fit_network(
            model,
            replace(settings, train=replace(settings.train, monitor=monitor)),
            self._run,
            f"{phase}/{name}" if name else phase,
            objective=objective,
            evaluator=partial(self._evaluator, data, monitor) if phase == "val" else None,
            mode=require_direction("train.monitor", monitor),
            epochs=epochs,
            callbacks=callbacks,
        )
        if isinstance(objective, ChoosesSettings):
            chosen = objective.chosen()
            _note_chosen(self._metrics, phase, f"{prefix}loss", chosen)
            self._chosen[name] = {**known, **chosen}
        return fitted

    def _evaluator(self, data: PhaseData, monitor: str, device: torch.device) -> RankingEvaluator:
        """Of the monitored view, while training."""
        ks = tuple(self._evaluation.ks)
        if monitor.count("/") != 2:
            raise ConfigError(
                f"train.monitor={monitor!r}: write val/VIEW/METRIC@K, for instance val/new/ndcg@10"
            )
        view = monitor.split("/")[1]
        evaluator = RankingEvaluator(
            data, views=(view,), ks=ks, device=device, block_mb=self._evaluation.block_mb
        )
        if not evaluator.has_truth(view):
            counts = data.counts
            nothing_known = sum(counts.get(key, 0) for key in WITHOUT_KNOWN_ITEM)
            unknown = counts["truth_users_unknown"] + counts.get("truth_users_cold", 0)
            raise DataError(
                f"nobody can be evaluated in the validation part by {monitor} (train.monitor): of"
                f" {counts['truth_users']:,} users {unknown:,} are unknown to"
                f" the part that is fitted, {nothing_known:,} bought"
                " only items unknown to it, and the others have no truth in this view; hold out"
                " more days (evaluation.split), keep more items (evaluation.min_buyers) or monitor"
                f" another view{' (cold_users judges those who are unknown)' if unknown else ''}"
            )
        return evaluator

    def judge(self, phase: str, model: Any) -> dict[str, float]:
        """Ranks for every user with truth; the test also beside baselines and by user."""
        data = self._index(phase)
        if not self._evaluation.views or not len(self._rows[phase].truth):
            return {}
        if phase == "test":
            _say_unknown(data)
            if "cold_users" in self._evaluation.views and data.cold_users is None:
                say(
                    "test: no customer is cold: the fitted part has purchases of all those to"
                    " evaluate, so the view cold_users is left out; evaluation=cold_users holds"
                    " out whole customers"
                )
        start = time.perf_counter()
        result = self._evaluate(model, data, by_popularity=phase == "test")
        _add_seconds(self._metrics, "evaluation/seconds", start)
        metrics = {f"{phase}/{key}": value for key, value in result.metrics.items()}
        for name, part in _parts(model).items():
            of_part = self._evaluate(part, data).metrics
            metrics |= {f"{phase}/parts/{name}/{key}": v for key, v in of_part.items()}
        if isinstance(model, TwoStage) and phase == "val":
            _say_first(self._settings, metrics)
        if phase == "test":
            table = result.per_user
            self._note_cold_users(model, data, table)
            if "cold_users" in self._evaluation.views:
                described = has_attributes(data)
                if described is not None:
                    table["has_attributes"] = described[table["user"]]
            if self._evaluation.segment_column is not None:
                of_users = segments(data, self._evaluation.segment_column)
                table["segment"] = of_users[table["user"]].astype(str)
            self._write_exposure(data, result)
            ids = data.asked_ids[table.pop("user").to_numpy(dtype=int)]
            table.insert(0, "user_id", ids)
            self._run.write_table("per_user.parquet", table)
            metrics |= self._baselines(data)
            examples = example_customers(model, data, self._dataset.item_names)
            self._run.write_json("examples.json", examples)
            self._write_tradeoff(model, data)
        return metrics

    def _note_cold_users(self, model: Any, data: PhaseData, per_user: pd.DataFrame) -> None:
        """Writes and says what attributes are worth for customers whom nothing else is known of."""
        if data.cold_users is None:
            return
        popularity = Popularity(data.vocabulary.num_users, data.vocabulary.num_items)
        popularity.fit(data.interactions)
        beside = self._evaluate(popularity, data, views=("cold_users",)).per_user
        metric = f"ndcg@{cutoff(tuple(self._evaluation.ks))}"
        gain = gain_of_attributes(model, data, metric, per_user, beside)
        self._run.write_json("cold_users.json", gain)
        name = model_title(self._settings.choices.model)
        say(f"test: {attributes_sentence(gain, name)}")

    def _write_exposure(self, data: PhaseData, result: RankingResult) -> None:
        """Share of every supplier in purchases and in exposure, by view, the most bought first."""
        column = self._evaluation.exposure_column
        if column is None or data.columns is None:
            return
        _, names = groups_of_items(data.columns, column)
        views = {}
        for view, shares in result.group_shares.items():
            order = shares[0].argsort(descending=True, stable=True)
            order = order[shares[:, order].sum(dim=0) > 0]
            rows = zip(names[order.numpy()], shares[:, order].T.tolist(), strict=True)
            views[view] = [
                {"name": str(name), "purchases": purchases, "exposure": exposure}
                for name, (purchases, exposure) in rows
            ]
        k = cutoff(tuple(self._evaluation.ks))
        self._run.write_json("exposure.json", {"column": column, "k": k, "views": views})

    def _write_tradeoff(self, model: Any, data: PhaseData) -> None:
        """NDCG against diversity, where new items are judged and something is known of items."""
        if "new" not in self._evaluation.views:
            return
        k = cutoff(tuple(self._evaluation.ks))
        device = evaluation_device(self._settings)
        if points := diversity_tradeoff(model, data, k=k, device=device):
            self._run.write_json("tradeoff.json", {"k": k, "points": [p._asdict() for p in points]})

    def finish(self, model: Any) -> dict[str, float]:
        """Writes vocabulary, histories and names of the last phase; counts of the data."""
        data, report, run = self._index(self.phases[-1]), self._dataset.report, self._run
        run.write_json("data_report.json", report.to_json())
        run.write_vocabulary(data.vocabulary)
        quantity = data.histories.quantity if HISTORY_QUANTITY in model.inputs else None
        run.write_history(data.histories.history, data.ages, quantity)
        known = set(data.vocabulary.item_ids)
        names = {item: n for item, n in self._dataset.item_names.items() if item in known}
        run.write_json("items.json", names)
        if data.columns is not None:
            columns = shipped_columns(self._dataset.items, data.columns.indices.items)
            run.write_item_columns(data.vocabulary, columns)
        counted = ("rows_in", "rows", "users", "items", "density")
        return {f"data/{key}": float(getattr(report, key)) for key in counted} | {
            f"data/dropped/{reason}": float(count) for reason, count in report.dropped.items()
        }

    def _index(self, phase: str) -> PhaseData:
        """The phase with its vocabulary; the latest one is kept."""
        if self._indexed is None or self._indexed.name != phase:
            start = time.perf_counter()
            self._indexed = index_phase(
                self._dataset,
                phase,
                self._rows[phase],
                min_buyers=self._evaluation.min_buyers,
                k_core=self._evaluation.k_core,
                seed=self._settings.seed,
                max_users=self._evaluation.max_users,
                cold_items="cold_items" in self._evaluation.views and self._reads_items,
                unknown_items=self._evaluation.unknown_items,
                cold_users="cold_users" in self._evaluation.views,
            )
            self._dataset.report.phases[phase] = self._indexed.counts
            _add_seconds(self._metrics, "data/seconds", start)
        return self._indexed

    def _evaluate(
        self,
        model: Any,
        data: PhaseData,
        by_popularity: bool = False,
        views: Sequence[str] | None = None,
    ) -> RankingResult:
        views = self._evaluation.views if views is None else views
        if not isinstance(model, ReadsItems):
            # to a baseline that knows items by their buyers all cold ones are alike
            views = [view for view in views if view != "cold_items"]
        return evaluate(
            model,
            data,
            views=tuple(views),
            ks=tuple(self._evaluation.ks),
            device=evaluation_device(self._settings),
            block_mb=self._evaluation.block_mb,
            by_popularity=by_popularity,
            exposure_column=self._evaluation.exposure_column,
        )

    def _baselines(self, data: PhaseData) -> dict[str, float]:
        """Closed-form models beside the model, fitted and judged on the same phase."""
        metrics: dict[str, float] = {}
        for name in self._evaluation.baselines:
            inputs = InputVocabulary(columns=data.columns)
            model = _build(_baseline(name), data.vocabulary, inputs)
            _require_known_users(model, data)
            model.fit(data.interactions)
            found = self._evaluate(model, data).metrics
            metrics |= {f"test/baselines/{name}/{key}": value for key, value in found.items()}
        return metrics


def _say_unknown(data: PhaseData) -> None:
    """Says what becomes of purchases of items that are not in the catalogue."""
    counts = data.counts
    rows, unknown = counts["truth_rows"], counts["truth_rows_of_unknown_items"]
    if data.missed:
        say(
            f"{data.name}: {counts['truth_items_missed']:,} items that users bought and that are"
            " not in the catalogue count as misses (evaluation.unknown_items=miss)"
        )
    elif unknown:
        say(
            f"{data.name}: {unknown:,} of {rows:,} rows to predict are of items that are not in the"
            " catalogue, as too few customers bought them before (evaluation.min_buyers): left out"
            " of the truth (evaluation.unknown_items=leave_out)"
        )


def _parts(model: Any) -> dict[str, Any]:
    """What a model is made of, by name; nothing for most."""
    if isinstance(model, Blend):
        return dict(zip(model.names, model.parts, strict=True))
    return {"first": model.first} if isinstance(model, TwoStage) else {}


def monitor_of(settings: Settings, model: object) -> str:
    """What decides the epochs of a model: the monitored metric, or, of cold items, which it cannot
    tell apart, and of cold users, of whom it knows nothing, that of new items.
    """
    monitor = settings.train.monitor
    if not isinstance(model, ReadsItems):
        monitor = monitor.replace("/cold_items/", "/new/")
    declared: tuple[object, ...] = getattr(model, "inputs", ())
    if not isinstance(model, DecidesWhomItServes) and {USER, HISTORY} & set(declared):
        monitor = monitor.replace("/cold_users/", "/new/")
    return monitor


def _require_tells_cold_users_apart(settings: Settings) -> None:
    """Refuses to choose epochs by users of whom the model knows nothing."""
    model = settings.model.resolve()
    declared = getattr(model, "inputs", ())  # of some models only an instance says
    needs = isinstance(declared, tuple) and any(each in declared for each in (USER, HISTORY))
    if needs and not issubclass(model, FitsInteractions | DecidesWhomItServes):
        raise ConfigError(
            f"train.monitor={settings.train.monitor}: model={settings.choices.model} knows nothing"
            " of cold customers, who all get what is popular, so no epoch is better than another;"
            " choose a model that reads attributes of customers, such as model=two_tower, or"
            " monitor another view"
        )


def _say_first(settings: Settings, metrics: Mapping[str, float]) -> None:
    """Says what the second stage adds to the first, by the monitored metric."""
    monitor, first = settings.train.monitor, settings.parts["first"].choices.model
    alone, both = metrics.get(monitor.replace("val/", "val/parts/first/")), metrics.get(monitor)
    if alone is None or both is None:
        return
    worse = f"; it is better alone: choose model={first}" if both < alone else ""
    model = settings.choices.model
    say(f"val: {monitor} {both:.4f} with {model}, {alone:.4f} with its first stage {first}{worse}")


def _note_weights(run: RunFolder, blend: Blend, monitor: str, chosen: bool = False) -> None:
    """Writes blend.json, which the report reads."""
    parts = [
        {"name": name, "weight": weight, "by_length": by_length}
        for name, weight, by_length in _weights(blend)
    ]
    content = {"monitor": monitor, "scale": blend.scale, "stacked": blend.stacked}
    run.write_json("blend.json", content | {"chosen": chosen, "parts": parts})


def _weights(blend: Blend) -> list[tuple[str, float, float]]:
    """Name of every part, and of popularity where it counts, with its weights."""
    names = (*blend.names, "popularity") if blend.stacked else blend.names
    rows = zip(names, blend.weight.tolist(), strict=False)
    return [(name, round(weight, 7), round(by_length, 7)) for name, (weight, by_length) in rows]


def _say_weights(
    metrics: MutableMapping[str, float],
    blend: Blend,
    choice: Choice,
    values: Mapping[str, float],
    monitor: str,
) -> None:
    """Says the weights that were chosen, so that they can be given where they should stay, beside
    what each part reaches alone.
    """
    weights = _weights(blend)
    if blend.stacked:
        said = ", ".join(f"{name} {weight:.2f}{by:+.2f}·h" for name, weight, by in weights)
    else:
        metrics.update({f"{CHOSEN}weights.{name}": weight for name, weight, _ in weights})
        said = ",".join(f"{name}:{weight:.4g}" for name, weight, _ in weights)
        said = f"model.weights={{{said}}}"
    alone = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    say(
        f"val: chosen from the data: {said} model.scale={choice.scale}; {monitor}"
        f" {choice.value:.4f} (alone: {alone})"
    )


def _note_chosen(
    metrics: MutableMapping[str, float], phase: str, section: str, chosen: Mapping[str, float]
) -> None:
    """Says what was not given and taken from the data, so that it can be set where it should
    stay.
    """
    of_part = f"{section}." if section.startswith("parts.") else ""
    metrics.update({CHOSEN + of_part + name: value for name, value in chosen.items()})
    if chosen:
        settings = " ".join(f"{section}.{name}={chosen[name]:.4g}" for name in sorted(chosen))
        say(f"{phase}: chosen from the data: {settings}")


def context_fingerprint(model: type[Any], context: Columns) -> str:
    """Changes when a value beside an event does that the model declares: of all such columns, which
    may be many and long, no other is read. Empty where it declares none.
    """
    declared = getattr(model, "inputs", ())
    if isinstance(declared, tuple):
        wanted = [each.source.partition(".") for each in declared]
        names = [name for table, _, name in wanted if table == "context" and name in context]
    else:
        names = list(context)  # each model says so of itself, and none is there yet
    return columns_fingerprint(context[name] for name in names) if names else ""


def _baseline(name: str) -> Target:
    known = model_targets()
    if name not in known:
        raise ConfigError(f"evaluation.baselines: {name} does not exist; {closest(name, known)}")
    _require_recommender(known[name], f"evaluation.baselines: {name}")
    if not issubclass(known[name].resolve(), FitsInteractions):
        raise ConfigError(
            f"evaluation.baselines: {name} needs training of its own; run it with model={name}"
        )
    return known[name]


def _check_model(settings: Settings, named: str) -> None:
    """Refuses a model that is none of purchases, or one that its loss does not train."""
    _require_recommender(settings.model, named)
    model = settings.model.resolve()
    if not issubclass(model, FitsInteractions):
        loss = required_loss(settings)
        require_trains(loss.resolve(), model, settings.choices.model)
        if isinstance(configured := loss.build(), ChecksModel):
            configured.require_fits(model)
        check_training(settings)


def _reads_items(settings: Settings) -> bool:
    """Whether the model, or a part of it, knows items that nobody has bought."""
    models = settings.parts.values() or (settings,)
    return any(issubclass(each.model.resolve(), ReadsItems) for each in models)


def _require_recommender(model: Target, named: str) -> None:
    if not issubclass(model.resolve(), Recommender):  # type: ignore[misc]
        raise ConfigError(
            f"{named} is no recommender, and the data are purchases of customers: choose a"
            " recommender, such as model=gmf, or data=…_sales"
        )


def _build(model: Target, vocabulary: Vocabulary, inputs: InputVocabulary) -> Any:
    sizes: dict[str, object] = {
        "num_users": vocabulary.num_users,
        "num_items": vocabulary.num_items,
    }
    if model.takes("num_categories"):
        sizes["num_categories"] = inputs
    return model.build(**sizes)


def _item_table(run: RunFolder) -> dict[str, Any]:
    """How the columns of the items are read, for items that a bundle gets later."""
    columns = run.read_json("data_report.json").get("columns", {}).get("items", {})
    names = [name for name, each in columns.items() if each["role"] == "name"]
    readings = {
        name: "text" if name in names else _READINGS.get(each["kind"], "list")
        for name, each in columns.items()
    }
    return {"readings": readings, "name_column": names[0] if names else None}


def _inputs(run: RunFolder) -> InputVocabulary:
    with readable(run.path / INPUTS):
        return InputVocabulary.load(run.path / INPUTS)


def _stored_model(run: RunFolder) -> Target:
    return Target.from_plain("model", run.read_config().get("model"))


def _require_known_users(model: Any, data: PhaseData) -> None:
    """Refuses a model of user ids where some of them were never fitted."""
    unknown = data.counts.get("users_not_fitted", 0)
    parts: list[Any] = list(_parts(model).values()) or [model]
    needs_ids = (
        USER in each.inputs and not isinstance(each, DecidesWhomItServes) for each in parts
    )
    if unknown and all(needs_ids):
        raise ConfigError(
            f"{type(model).__name__} knows users by their ids, and {unknown:,} of those to evaluate"
            " (evaluation=unseen_users) were not fitted; choose a model that reads histories, such"
            " as model=autoencoder, next_purchase or ease"
        )


def _load_pretrained(
    model: Any, settings: Settings, data: PhaseData, fingerprints: tuple[str, str]
) -> None:
    """Fills NeuMF with two runs on the same data and split, whose fingerprints these are."""
    pretrained = settings.train.pretrained
    if not isinstance(model, LoadsPretrained):
        raise ConfigError("train.pretrained is for model=neumf only")
    states = {}
    for half in ("gmf", "mlp"):
        folder = getattr(pretrained, half)
        if folder is None:
            raise ConfigError(f"train.pretrained.{half} is missing: both halves come from a run")
        run = RunFolder.open(folder)
        run.require_finished()
        record = RunRecord.read(run) or RunRecord()
        before = record.data_fingerprint, record.split_fingerprint
        for what, then, now in zip(("data", "split"), before, fingerprints, strict=True):
            if then and then != now:
                raise ConfigError(
                    f"train.pretrained.{half}={folder} was trained on other data or another split"
                    f" (fingerprint of the {what} {then}, now {now}): train it anew"
                )
        states[half] = run.read_weights(data.name)
        vocabulary = run.read_vocabulary()
        if data.name != "val" and not (
            np.array_equal(vocabulary.user_ids, data.vocabulary.user_ids)
            and np.array_equal(vocabulary.item_ids, data.vocabulary.item_ids)
        ):
            raise ConfigError(
                f"train.pretrained.{half}={folder} was trained on other data or another split"
            )
    try:
        model.load_pretrained(states["gmf"], states["mlp"], pretrained.alpha)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"train.pretrained does not fit model=neumf: {reason}") from error


def _add_seconds(metrics: MutableMapping[str, float], key: str, start: float) -> None:
    metrics[key] = metrics.get(key, 0.0) + time.perf_counter() - start
