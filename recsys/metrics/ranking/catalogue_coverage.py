"""Catalogue coverage of recommendation lists."""

from recsys.metrics.ranking.exposure import Exposure
from recsys.metrics.registry import metric


@metric(
    "coverage",
    family="catalogue",
    title="Catalogue coverage",
    direction=None,
    meaning="Share of the catalogue that is recommended to anyone.",
    order=10,
)
def catalogue_coverage(exposure: Exposure) -> float:
    """Share of the catalogue that is recommended to anyone.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond Accuracy, RecSys 2010.
    """
    return float((exposure.lists > 0).double().mean())
