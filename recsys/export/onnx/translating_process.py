"""Started by `translation.py` as `python -m`, not by people."""

import sys

from recsys.export.onnx.translation import translate_file

sys.exit(translate_file(sys.argv[1:]))
