"""`python -m oxicorn`."""

import sys

from oxicorn.cli import main

sys.exit(main())
