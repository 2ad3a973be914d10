"""``python -m tce_theory.cli``."""

import sys

from tce_theory.cli import main

sys.exit(main())
