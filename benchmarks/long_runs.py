"""The suite's random tests, for longer than a suite may take: the same code, more examples.

    python benchmarks/long_runs.py [kills|archives|histories] [N]

`kills`: a load is killed N times (200) at random moments, and run again until it is done. `archives`: N (500) random
archives, whose staging must be what a dict holds. `histories`: N (50) random histories, landed and built in pieces,
whose marts must be those of one full build.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Setting, its value, and the test that takes it.
RUNS = {
    "kills": ("LOAD_KILLS", "200", "tests/loaders/ingest/test_crash.py::test_killed_loads_leave_whole_files_and_go_on"),
    "archives": ("ARCHIVE_EXAMPLES", "500", "tests/marts/test_staging_reference.py"),
    "histories": ("HISTORY_EXAMPLES", "50", "tests/marts/test_any_history.py"),
}


def run(name: str, count: str | None) -> int:
    """Exit status of the test."""
    setting, usual, test = RUNS[name]
    command = [sys.executable, "-m", "pytest", "-n", "0", "--durations=1", test]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, setting: count or usual}, check=False).returncode


if __name__ == "__main__":
    wanted = sys.argv[1:2] or list(RUNS)
    sys.exit(max(run(name, next(iter(sys.argv[2:]), None)) for name in wanted))
