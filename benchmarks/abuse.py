"""Random abuse of a warehouse for some minutes, and then: are its marts those of one calm full build?

    python benchmarks/abuse.py FOLDER [MINUTES] [SEED]

Files come, are published again, edited without a change of size, moved into folders with odd names and taken away;
loads, forgets and dbt commands (whole, partial, seeds alone) run, some are killed with SIGKILL, some meet a second
writer; a seed changes. At the end the files whose place is empty are forgotten, what lies there is landed and built,
and every mart is compared with that of a fresh warehouse that lands and builds the same files once. Prints attempts,
kills and differences; exit status 1 if there is a difference, or a command ended in a way that it must not.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import archive  # noqa: E402
from tests.support.warehouse import Warehouse  # noqa: E402

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
DAYS = ("2024-02-28", "2024-02-29", "2024-03-01")
ODD = ("[b]", "a*c", "q?", "x=5", "sum_open_interest=5", "sp ace", "ü", "**", "it's", "{a,b}", "z" * 200)
SELECTIONS = ("stg_binance__klines+", "klines_5m", "+open_interest_5m", "candles_with_side+", "liquidation_levels")
PARTS = ("models", "macros", "seeds", "tests/dbt", "analyses", "dbt_project.yml", "profiles.yml")
EVERYTHING = ("--select", "fqn:*")
# What a command may end with when nobody killed it: all is well, something to look at, wrong usage, busy.
ALLOWED = (0, 1, 2, 75)
DBT = str(Path(sys.executable).with_name("dbt"))
LOADERS = [sys.executable, "-m", "loaders"]


class Abuse:
    """One warehouse and what is done to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.attempts: Counter[str] = Counter()
        self.kills = 0
        self.faults: list[str] = []
        project = folder / "project"
        for part in PARTS:
            place = project / part
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, place)
            else:
                shutil.copy(ROOT / part, place)
        self.warehouse = Warehouse(folder / "abused")
        self.warehouse.project = project
        self.warehouse.environment = {"LOADERS_PROJECT_DIR": str(project)}

    def files(self) -> list[Path]:
        """Files that lie there now."""
        return sorted(path for path in self.warehouse.data.rglob("*") if path.is_file())

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command in a group of its own, so that a kill takes its children, too."""
        return subprocess.Popen(
            command,
            cwd=self.warehouse.project,
            env=self.warehouse.whole_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], name: str) -> None:
        """Waits for a command, or kills it; how it may not end is a fault."""
        killed = False
        try:
            printed, _ = process.communicate(timeout=self.dice.uniform(0.3, 12) if self.dice.random() < 0.3 else 600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            self.kills += 1
            killed = True
        if not killed and (process.returncode not in ALLOWED or "Traceback (most recent call last)" in printed):
            self.faults.append(f"{name} ended with {process.returncode}: {printed[-1500:]}")

    def publish(self) -> None:
        """A file comes, or comes again with other content."""
        dice, data = self.dice, self.warehouse.data
        if dice.random() < 0.4:
            data = data / dice.choice(ODD)
        symbol, day = dice.choice(SYMBOLS), dice.choice(DAYS)
        lacks = frozenset(dice.sample(range(72), dice.choice((0, 0, 3))))
        shift = Decimal(dice.choice((0, 0, 1)))

        def keep(moment: object) -> bool:
            return (moment.hour * 3 + moment.minute // 20) not in lacks  # type: ignore[attr-defined]

        match dice.choice(("klines", "minutes", "metrics", "trades")):
            case "klines":
                archive.klines(data, symbol, day, 5, keep, shift=shift)
            case "minutes":
                archive.klines(data, symbol, day, 1, keep, shift=shift)
            case "metrics":
                archive.metrics(data, symbol, day, keep=keep)
            case "trades":
                archive.agg_trades(data, symbol, day, first_id=1 + DAYS.index(day) * 8640, keep=keep)

    def edit(self) -> None:
        """Content changes, size and time do not."""
        if files := self.files():
            path = self.dice.choice(files)
            times = path.stat()
            content = bytearray(path.read_bytes())
            places = [place for place, byte in enumerate(content) if byte == ord("5")]
            if places:
                content[self.dice.choice(places)] = ord("6")
                path.write_bytes(content)
                if self.dice.random() < 0.3:
                    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def move(self) -> None:
        """A file goes to another folder, or away."""
        if files := self.files():
            path = self.dice.choice(files)
            if self.dice.random() < 0.5:
                path.unlink()
                return
            target = self.warehouse.data / self.dice.choice(ODD) / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)

    def misname(self) -> None:
        """Something comes that nobody can land."""
        data = os.fsencode(self.warehouse.data)
        name = self.dice.choice((b"caf\xe9.csv", b"AAAUSDT-5M-2024-03-01.CSV", b"n" * 251 + b".csv", b"x y.zip"))
        with open(data + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(self.dice.randbytes(self.dice.choice((0, 10, 5000))))

    def load(self) -> None:
        """A load, whole or killed, while files change under it."""
        process = self.start(*LOADERS, "load", *self.dice.choice(([], [], ["--verify"], ["--symbol", "AAAUSDT"])))
        if self.dice.random() < 0.5:
            time.sleep(self.dice.uniform(0.3, 1.5))
            self.dice.choice((self.move, self.edit, self.publish))()
        self.finish(process, "load")

    def two_writers(self) -> None:
        """Two commands that write begin at once."""
        writers = ([*LOADERS, "load"], [DBT, "seed", "--quiet"], [*LOADERS, "load", "--wait", "9"])
        one, other = (self.start(*self.dice.choice(writers)) for _ in range(2))
        self.finish(one, "one of two writers")
        self.finish(other, "the other of two writers")

    def forget(self) -> None:
        """A symbol, or a file, is taken out."""
        chosen = ["--symbol", self.dice.choice(SYMBOLS)]
        if self.dice.random() < 0.7 and (files := self.files()):
            chosen = ["--file", str(self.dice.choice(files))]
        self.finish(self.start(*LOADERS, "forget", *chosen), "forget")

    def dbt(self) -> None:
        """dbt, whole or in part."""
        command = self.dice.choice(
            (
                ["build", "--resource-type", "seed", "--resource-type", "model"],
                ["run"],
                ["run", "-s", self.dice.choice(SELECTIONS)],
                ["run", "-s", self.dice.choice(SELECTIONS)],
                ["seed"],
            )
        )
        self.finish(self.start(DBT, "--no-use-colors", *command, "--quiet"), f"dbt {' '.join(command)}")

    def reseed(self) -> None:
        """The weights of two leverages change places."""
        path = self.warehouse.project / "seeds" / "leverage_weights.csv"
        title, *rows = path.read_text(encoding="utf-8").splitlines()
        place = title.split(",").index("weight")
        cells = [row.split(",") for row in rows]
        one, other = self.dice.sample(range(len(cells)), 2)
        cells[one][place], cells[other][place] = cells[other][place], cells[one][place]
        path.write_text("\n".join([title, *map(",".join, cells)]) + "\n", encoding="utf-8")

    def run(self, minutes: float) -> None:
        """Abuse until the time is up."""
        end = time.monotonic() + minutes * 60
        kinds = {self.publish: 8, self.load: 5, self.dbt: 3, self.edit: 2, self.move: 3, self.misname: 1}
        kinds |= {self.two_writers: 1, self.forget: 1, self.reseed: 1}
        while time.monotonic() < end:
            (act,) = self.dice.choices(list(kinds), list(kinds.values()))
            self.attempts[act.__name__] += 1
            act()

    def settle(self) -> None:
        """Forgets what no longer lies there, lands and builds the rest."""
        self.load_calmly(self.warehouse)
        landed = self.warehouse.query("select path from ops.ingestion_files where status = 'loaded'")
        gone = [path for (path,) in landed if not Path(path).exists()]
        for start in range(0, len(gone), 50):
            options = [option for path in gone[start : start + 50] for option in ("--file", path)]
            self.warehouse.run(*LOADERS, "forget", *options)
        self.load_calmly(self.warehouse)
        self.warehouse.build_untested(*EVERYTHING)

    def load_calmly(self, warehouse: Warehouse) -> None:
        """Lands everything; some files cannot be landed. An edit may have kept size and time, so all are hashed."""
        done = subprocess.run(
            [*LOADERS, "load", "--verify"],
            cwd=warehouse.project,
            env=warehouse.whole_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1):
            self.faults.append(f"the last load ended with {done.returncode}: {done.stderr[-1500:]}")

    def calm(self, folder: Path) -> Warehouse:
        """A fresh warehouse of the same files."""
        fresh = Warehouse(folder)
        fresh.project = self.warehouse.project
        fresh.environment = {**self.warehouse.environment, "LOADERS_DATA_DIR": str(self.warehouse.data)}
        self.load_calmly(fresh)
        fresh.build_untested(*EVERYTHING)
        return fresh


def main() -> int:
    """Exit status: 0 if the marts are the same and nothing ended badly."""
    folder = Path(sys.argv[1]).absolute()
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
    abuse = Abuse(folder, seed)
    abuse.run(minutes)
    abuse.settle()
    found, wanted = abuse.warehouse.marts(), abuse.calm(folder / "calm").marts()
    different = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    print(f"seed {seed}: {sum(abuse.attempts.values())} attempts in {minutes:g} minutes {dict(abuse.attempts)}")
    print(f"{abuse.kills} kills; {sum(map(len, wanted.values())):,} rows in {len(wanted)} marts")
    print(f"{len(different)} marts differ {different or ''}")
    for name in different:
        mine, theirs = set(map(repr, found.get(name, []))), set(map(repr, wanted.get(name, [])))
        print(f"  {name}: {len(mine - theirs)} rows only here, {len(theirs - mine)} only in the calm build")
        for row in [*sorted(mine - theirs)[:2], *sorted(theirs - mine)[:2]]:
            print(f"    {row[:300]}")
    print(f"{len(abuse.faults)} commands ended as they must not")
    for fault in abuse.faults:
        print(f"  {fault}")
    return 1 if different or abuse.faults else 0


if __name__ == "__main__":
    sys.exit(main())
