"""`python -m recsys.export.translating_process`: started by `translation.py`, not by people."""

import sys

from recsys.export.translation import translate_file

sys.exit(translate_file(sys.argv[1:]))
