"""What people call the things that files name by keys."""

from typing import NamedTuple

from recsys.metrics.registry import find_metric, metrics_of


class Words(NamedTuple):
    """A name for headings, the same inside a sentence, and what it means."""

    title: str
    inline: str
    meaning: str


VIEWS = {
    "new": Words(
        "New items",
        "new items",
        "Only items that the customer never bought before; the list leaves the others out.",
    ),
    "all": Words(
        "All purchases",
        "all purchases",
        "Everything that the customer bought in the test period, also what was bought before.",
    ),
    "candidates": Words(
        "Candidate lists",
        "candidate lists",
        "A given list of items for each customer, to be put in order.",
    ),
    "cold_items": Words(
        "Cold items",
        "cold items",
        "Only items that the fitted part does not have, known by their attributes alone.",
    ),
    "cold_users": Words(
        "Cold customers",
        "cold customers",
        "Only customers whom the fitted part has no purchase of: served by their attributes where"
        " the model reads them, else with what is popular.",
    ),
}

MODELS = {
    "gmf": "GMF",
    "mf": "MF",
    "mlp": "MLP",
    "neumf": "NeuMF",
    "sasrec": "SASRec",
    "deepfm": "DeepFM",
    "dcn_v2": "DCN-v2",
    "ease": "EASE",
    "ials": "iALS",
    "item_knn": "item k-NN",
    "user_knn": "user k-NN",
    "tifu_knn": "TIFU-kNN",
    "personal_frequency": "personal top frequency (P-TopFreq)",
    "personal_top_frequency": "personal top frequency (P-TopFreq)",
    "lstm": "LSTM",
    "lstm_ensemble": "LSTM ensemble",
    "auto_arima": "AutoARIMA",
    "auto_ets": "AutoETS",
    "auto_theta": "AutoTheta",
    "croston": "Croston",
}

BASELINES = {
    "popularity": "the best-selling items, the same for everyone",
    "segment_popularity": "the best-selling items among customers with the same attributes",
    "personal_frequency": "what the customer bought most often",
    "personal_top_frequency": "what the customer bought most often",
    "personal_recency": "what the customer bought most often, recent purchases counting more",
    "ease": "a linear item-to-item model, solved in closed form",
    "ials": "matrix factorization by alternating least squares",
    "item_knn": "items bought by the same customers as earlier purchases",
    "user_knn": "what customers with similar purchases bought",
    "tifu_knn": "what the customer and similar customers bought often and lately",
    "seasonal_naive": "what was sold one season before",
    "moving_average": "the mean of the last steps",
    "weekday_mean": "the mean of the last weeks, weekday by weekday",
    "seasonal_mean": "the mean of the last seasons, step by step",
    "auto_ets": "exponential smoothing, its form chosen for each series",
    "auto_theta": "a trend line and exponential smoothing, combined",
    "auto_arima": "autoregression, its order chosen for each series",
    "croston": "mean sale over mean gap between sales, both smoothed",
}

INTERVAL = "95\N{NO-BREAK SPACE}% interval"

PHASES = {
    "val": "Validation",
    "known": "Test, with its customers in the training data",
    "test": "Test",
    "full_data": "Full data",
}

COUNTS = {
    "fit_rows": "Training rows",
    "fit_rows_dropped_by_filters": "… left out because too few customers or items share them",
    "events": "Training purchases (one per customer, item and day)",
    "positives": "Different customer–item pairs",
    "users": "Customers known",
    "users_not_fitted": "… of these only evaluated, not trained on",
    "fold_in_rows": "Rows of their fold-in history",
    "fold_in_rows_of_unknown_items": "… of items not known",
    "items": "Items known",
    "truth_rows": "Rows to predict",
    "truth_rows_of_unknown_items": "… of items not known",
    "truth_users": "Customers in the period to predict",
    "truth_users_unknown": "… unseen in training, not evaluated",
    "truth_users_cold": "… unseen in training, evaluated as cold customers",
    "cold_users_left_out_by_max_users": "… cold customers beyond evaluation.max_users",
    "truth_users_without_known_item": "… without any known item, not evaluated",
    "truth_users_with_unknown_items_only": "… without any known item, evaluated without a hit",
    "truth_items_missed": "Different items of customers that are not known, counted as misses",
    "truth_users_only_fitted": "Customers known without anything to predict, only fitted",
    "series_fitted": "Training series",
    "steps_fitted": "… steps of these",
    "windows": "Windows to forecast",
    "series_asked": "Series to forecast",
    "series_new": "… too young to be fitted",
    "forecasts": "Forecasts, one per series and window",
    "not_asked_not_begun": "… not evaluated: not sold yet",
    "not_asked_retired": "… not evaluated: no longer sold",
    "not_asked_without_whole_truth": "… not evaluated: sales incomplete over the horizon",
    "candidate_rows_unknown": "Candidate rows of unknown customers or items",
    "candidate_rows_repeated": "Candidate rows listed twice",
}

SLICES = {
    "all": Words("All series", "all series", ""),
    "intermittent": Words(
        "Intermittent", "intermittent", "on average more than 1.32 steps from sale to sale"
    ),
    "short": Words("Short", "short", "less history than two seasons, or than two horizons"),
    "new": Words("New", "new", "not fitted, or on less than a horizon"),
}

MEASURES = {"quantity": "units sold", "lines": "lines sold", "value": "value sold"}

PER_STEP = {"hour": "an hour", "day": "a day", "week": "a week", "month": "a month"}


class MetricWords(NamedTuple):
    """A name for headings, and what it means."""

    title: str
    meaning: str


METRICS = {
    name: MetricWords(metric.title, metric.meaning)
    for name, metric in metrics_of("ranking").items()
}


def metric_words(metric: str) -> MetricWords:
    """Words for a metric by its key; the key itself where it is not registered."""
    if metric.startswith("coverage_"):
        return MetricWords(
            f"{interval_name(metric)} interval",
            f"Share of the sales inside the interval: {interval_name(metric)} would be right.",
        )
    found = find_metric(metric)
    return MetricWords(found.title, found.meaning) if found else MetricWords(metric, "")


def interval_name(coverage: str) -> str:
    """80 % of "coverage_80"."""
    return f"{coverage.removeprefix('coverage_')}\N{NO-BREAK SPACE}%"


def model_title(name: str) -> str:
    """The model's name as people write it: GMF, personal frequency."""
    plain, bracket, rest = name.partition(" (")
    return MODELS.get(plain, plain.replace("_", " ")) + bracket + rest


def phase_title(name: str) -> str:
    """Validation, Test, Test 2, Shipping."""
    phase, _, number = name.partition("-")
    return f"{PHASES[phase]} {number}".strip() if phase in PHASES else name


def view_words(view: str) -> Words:
    """Words for a view; its key where it is not among those we know."""
    return VIEWS.get(view, Words(view, view, ""))


def unit_of(measure: str | None) -> str:
    """What y counts: units sold; sales, where nothing says what is counted."""
    return MEASURES.get(str(measure), "sales")


def per_step(measure: str | None, step: str) -> str:
    """Unit and step: units sold a day."""
    return f"{unit_of(measure)} {PER_STEP.get(step, 'a step')}"


def protocol(split: dict[str, object]) -> str:
    """How the model was judged, from the split's configuration."""
    name = str(split.get("_target_", "")).rpartition(".")[2]
    if name == "UnseenUsers" and split.get("fold_in_share") == 0:
        return "tested on customers of whom no purchase is known"
    if name == "GlobalTime":
        days = f"the last {split.get('test_days', 28)} days"
        first = split.get("truth") == "first_basket"
        return f"tested on {'the first basket of each customer in ' if first else ''}{days}"
    known = {
        "LeaveLastOut": "tested on the last purchase of each customer",
        "LeaveLastBasket": "tested on the last basket of each customer",
        "Presplit": "tested on the published test part",
        "RollingOrigin": "tested on rolling windows",
        "UnseenUsers": "tested on customers not seen in training",
        "FullData": "fitted on everything, not tested",
    }
    return known.get(name, name)
