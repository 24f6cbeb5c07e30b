"""Compares runs with intervals and tests: `compare.py 'runs=[A,B,…]' [metric=…] [reference=A]`."""

import sys

from recsys.cli.compare import compare_command

if __name__ == "__main__":
    sys.exit(compare_command(sys.argv[1:], "python scripts/compare.py"))
