"""From tables of transactions to a shipped recommender or forecaster.

`recsys.train` and `recsys.Run` need the training packages; `recsys.inference` needs numpy and ONNX
Runtime only.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.api import Run, train

__all__ = ["Run", "train"]


def __getattr__(name: str) -> Any:
    # a wrapper of bundles must not wait for pandas and torch
    if name in __all__:
        from recsys import api

        return getattr(api, name)
    raise AttributeError(f"module 'recsys' has no attribute {name!r}")
