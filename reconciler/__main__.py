"""`python -m reconciler` is `keyform`."""

import sys

from reconciler.cli import main

sys.exit(main())
