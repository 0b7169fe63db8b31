"""`python -m workbench.cli`, where the command itself is not on the path."""

import sys

from workbench.cli import main

sys.exit(main())
