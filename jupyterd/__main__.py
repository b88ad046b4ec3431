"""`python -m jupyterd VERB`: the same as the `jupyterd` command."""

import sys

from jupyterd.cli.main import main

sys.exit(main())
