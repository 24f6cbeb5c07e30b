"""Searches settings: `sweep.py sweep=neumf experiment=… [trials=40] [jobs=2] [key=value …]`.

Several machines share a search through a database that all reach, each with a folder of its own:
on every one (or as the tasks of `sbatch --array`), for 200 trials in all,

    sweep.py sweep=neumf experiment=… trials=200 storage=URL name=first test=false output=FOLDER

and when they have ended, on one of them, `sweep.py resume=FOLDER storage=URL`, which trains the
best trial of all anew and tests it once.
"""

import sys

from recsys.cli.sweep import sweep_command

if __name__ == "__main__":
    sys.exit(sweep_command(sys.argv[1:], "python scripts/sweep.py"))
