"""`python -m pppl`."""

import sys

from .cli import main

sys.exit(main())
