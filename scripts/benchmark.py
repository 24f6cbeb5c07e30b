"""Ratios measured side by side in one run: python scripts/benchmark.py MEASUREMENT [key=value …].

training   one NeuMF epoch through Lightning against the same steps in a bare torch loop,
alternating.
forecasting   an LSTM training step through Lightning against the same cells in a bare torch loop,
alternating.
scale   reading, training and judging generated shops of 0.5, 5 and 50 million purchases: time and
memory.
peers   ours beside RecBole and implicit: throughput, quality, seconds to a quality, memory.
defaults   models as they stand beside the best of settings around the defaults, on public data.
environments   installs those peers, each in an environment of its own (also: make peers).
"""

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.defaults import DefaultsArguments, defaults
from benchmarks.environments import EnvironmentArguments, environments
from benchmarks.forecasting import ForecastingArguments, forecasting
from benchmarks.peers import PeersArguments, peers
from benchmarks.scale import ScaleArguments, scale
from benchmarks.training import TrainingArguments, training

from recsys.arguments import parse_arguments
from recsys.errors import ConfigError, UserError

# the arguments that a measurement reads, and what measures and prints
MEASUREMENTS: dict[str, tuple[type[Any], Callable[[Any], None]]] = {
    "training": (TrainingArguments, training),
    "forecasting": (ForecastingArguments, forecasting),
    "scale": (ScaleArguments, scale),
    "peers": (PeersArguments, peers),
    "defaults": (DefaultsArguments, defaults),
    "environments": (EnvironmentArguments, environments),
}


def main() -> int:
    """Returns the exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        if name not in MEASUREMENTS:
            raise ConfigError(
                f"name what to measure: python scripts/benchmark.py {'|'.join(MEASUREMENTS)}"
                " [key=value …]"
            )
        declaration, measure = MEASUREMENTS[name]
        measure(parse_arguments(declaration, sys.argv[2:], f"python scripts/benchmark.py {name}"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
