"""One side of a comparison, in a process of its own: reads a request and writes measurements, in
JSON.

Needs the standard library alone: peers import it in environments of their own.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(measure: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Measures what the request file (first argument) asks; the result goes to `request["result"]`,
    with the peak memory added where `measure` did not say it.
    """
    request = json.loads(Path(sys.argv[1]).read_text())
    result = measure(request)
    result.setdefault("peak_mb", peak_mb())
    Path(request["result"]).write_text(json.dumps(result))


def peak_mb() -> float:
    """Most memory that this process ever held, in MB (10⁶ bytes); NaN where the system does not
    tell.

    Not `resource.getrusage`: on Linux its maximum starts at what the parent process held.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
