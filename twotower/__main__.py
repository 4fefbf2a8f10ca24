"""`python -m twotower` is `twotower`."""

import sys

from twotower.cli import main

sys.exit(main())
