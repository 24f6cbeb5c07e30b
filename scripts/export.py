"""`recsys export …`, from a checkout."""

import sys

from recsys.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
