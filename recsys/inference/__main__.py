"""`python -m recsys.inference verify|recommend|forecast …`."""

import sys

from recsys.inference.commands import main

sys.exit(main(sys.argv[1:]))
