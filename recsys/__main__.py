"""`python -m recsys COMMAND`, where the console command is not on the path."""

import sys

from recsys.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
