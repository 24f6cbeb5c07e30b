"""Forecasts every series of a table: `forecast.py bundle=… history=FILE output=FILE`."""

import sys

from recsys.inference.commands import forecast_command

if __name__ == "__main__":
    sys.exit(forecast_command(sys.argv[1:], "python scripts/forecast.py"))
