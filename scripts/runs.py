"""Lists runs as a table: `runs.py [runs=runs] [model=…] [data=…] [sort=test] [output=FILE.csv]`."""

import sys

from recsys.cli.runs import runs_command

if __name__ == "__main__":
    sys.exit(runs_command(sys.argv[1:], "python scripts/runs.py"))
