"""``python -m bondstone.cli`` is ``bondstone``."""

import sys

from bondstone.cli import main

sys.exit(main())
