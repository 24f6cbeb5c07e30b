"""Takes a trained model out of torch: a folder that another team runs without it."""

from recsys.export.bundle import write_recommender_bundle
from recsys.export.forecaster_bundle import write_forecaster_bundle
from recsys.export.forecaster_parity import SampleWindows

__all__ = ["SampleWindows", "write_forecaster_bundle", "write_recommender_bundle"]
