"""Takes a trained model out of torch: a folder that another team runs without it."""

from recsys.export.bundle import write_recommender_bundle

__all__ = ["write_recommender_bundle"]
