"""Runs bundles with numpy and ONNX Runtime alone: no torch, no configuration, no training code."""

from recsys.inference.forecaster import Forecaster
from recsys.inference.recommender import Recommender
from recsys.inference.rules import Rules
from recsys.inference.verification import verify

__all__ = ["Forecaster", "Recommender", "Rules", "verify"]
