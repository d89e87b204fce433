"""Plants the named faults, or all of them."""

import sys

from benchmarks.planted_faults.runner import main

sys.exit(main())
