"""Searches settings: `sweep.py sweep=neumf experiment=… [trials=40] [jobs=2] [key=value …]`."""

import sys

from recsys.sweeps.command_line import sweep_command

if __name__ == "__main__":
    sys.exit(sweep_command(sys.argv[1:], "python scripts/sweep.py"))
