"""`python -m recsys.inference verify …` and `python -m recsys.inference recommend …`."""

import sys

from recsys.inference.commands import main

sys.exit(main(sys.argv[1:]))
