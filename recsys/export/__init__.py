"""Takes a trained model out of torch: a folder that another team runs without it."""

from recsys.export.forecaster.bundle import write_forecaster_bundle
from recsys.export.forecaster.parity import SampleWindows
from recsys.export.recommender.bundle import write_recommender_bundle

__all__ = ["SampleWindows", "write_forecaster_bundle", "write_recommender_bundle"]
