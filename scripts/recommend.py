"""Recommends for every user of a file: `recommend.py bundle=… users=FILE output=FILE k=10`."""

import sys

from recsys.inference.commands import recommend_command

if __name__ == "__main__":
    sys.exit(recommend_command(sys.argv[1:], "python scripts/recommend.py"))
