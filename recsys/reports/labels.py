"""What people call the things that files name by keys."""

from typing import NamedTuple


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
}

MODELS = {"gmf": "GMF", "mf": "MF", "mlp": "MLP", "neumf": "NeuMF"}

BASELINES = {
    "popularity": "the best-selling items, the same for everyone",
    "personal_frequency": "what the customer bought most often",
}

INTERVAL = "95\N{NO-BREAK SPACE}% interval"

PHASES = {"val": "Validation", "test": "Test", "ship": "Shipping"}

COUNTS = {
    "fit_rows": "Rows to learn from",
    "fit_rows_dropped_by_filters": "… left out because too few customers or items share them",
    "events": "Purchases learned from (one a customer, item and day)",
    "positives": "Different customer–item pairs",
    "users": "Customers known",
    "items": "Items known",
    "truth_rows": "Rows to predict",
    "truth_rows_of_unknown_items": "… of items not known",
    "truth_users": "Customers in the period to predict",
    "truth_users_unknown": "… never seen before, not asked",
    "truth_users_without_known_item": "… left with no known item, not asked",
    "candidate_rows_unknown": "Candidate rows of unknown customers or items",
    "candidate_rows_repeated": "Candidate rows listed twice",
}


class Metric(NamedTuple):
    """A name for headings, and what it means."""

    title: str
    meaning: str


METRICS = {
    "ndcg": Metric("NDCG", "How many hits, and how far up in the list; 1 is a perfect list."),
    "recall": Metric("Recall", "Share of what the customer bought that the list contained."),
    "hit_rate": Metric("Hit rate", "Share of customers with at least one hit."),
    "precision": Metric("Precision", "Share of the recommendations that were bought."),
    "map": Metric("MAP", "Precision at the place of every hit, averaged: rewards early hits."),
    "mrr": Metric("MRR", "One over the place of the first hit: 1 first, 0.5 second, 0 if none."),
}


def model_title(name: str) -> str:
    """The model's name as people write it: GMF, personal frequency."""
    plain, bracket, rest = name.partition(" (")
    return MODELS.get(plain, plain.replace("_", " ")) + bracket + rest


def view_words(view: str) -> Words:
    """Words for a view; its key where it is not among those we know."""
    return VIEWS.get(view, Words(view, view, ""))


def protocol(split: dict[str, object]) -> str:
    """How the model was judged, from the split's configuration."""
    name = str(split.get("_target_", "")).rpartition(".")[2]
    if name == "GlobalTime":
        return f"tested on the last {split.get('test_days', 28)} days"
    known = {
        "LeaveLastOut": "tested on the last purchase of each customer",
        "Presplit": "tested on the published test part",
        "FitOnEverything": "fitted on everything, not tested",
    }
    return known.get(name, name)
