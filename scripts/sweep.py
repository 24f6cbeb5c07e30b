"""`recsys sweep …`, from a checkout."""

import sys

from recsys.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
