"""A load: plan, prepare, land, write down. Ends between files when it is told to.

Files are prepared (hashed, inflated, looked at) in threads while those before them are landed. Small files share a
transaction; if one of them gives trouble, all of them are taken back and landed in halves, so that it fails alone.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import duckdb

from loaders.datasets import Market
from loaders.errors import FileRejected
from loaders.files.archives import Limits, file_hash, member_hash
from loaders.files.discovery import Candidate, Found, Refused, discover
from loaders.files.inspection import Prepared, gone_or_unreadable, prepare
from loaders.ingest import plan
from loaders.ingest.column_sql import ReadSpec, raw_table
from loaders.ingest.plan import Action, FilePlan
from loaders.ingest.raw_rows import remove
from loaders.ingest.row_insert import insert_row_by_row
from loaders.ingest.typed_insert import TypedReadMismatch, insert_typed
from loaders.progress import Reporter
from loaders.selection import Selection
from loaders.settings import Settings
from loaders.warehouse import Warehouse, ledger, schema, transaction
from loaders.warehouse.ledger import Entry, Landed, LandedFile, Range, Totals

_T = TypeVar("_T")

# What the engine says of a file that the typed reader cannot take. Anything else is a fault of ours and must be seen.
_UNTYPED = (duckdb.DataError, duckdb.InvalidInputException)


class Strategy(Enum):
    """How a file's rows are inserted, the fastest first; the next one takes what the one before could not."""

    TYPED_NARROW = "decimals of at most 18 digits"
    TYPED = "decimals of any width"
    ROW_BY_ROW = "each cell tried, bad rows quarantined"


_TYPED = (Strategy.TYPED_NARROW, Strategy.TYPED)

# Files prepared ahead of the landing, and more of them while they are small: those of a batch are prepared while the
# batch before it is landed. Those of archives lie inflated in the scratch folder; how much longer they are there is
# measured from those prepared so far. Two threads, since the engine waits for the first batch.
_AHEAD = 2
_PREPARING = 2

# A listing as old as this is made anew, as after a wait for another writer: files may have come.
_STANDS_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Request:
    """What a load is asked to do."""

    folders: tuple[Path, ...]
    selection: Selection
    market: Market = "um"
    verify: bool = False
    throttle_ms: int = 0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that was refused, with the message the user reads."""

    path: Path
    message: str


@dataclass(slots=True)
class LoadResult:
    """What a load did. `signal` is the number of the signal that ended it early.

    `not_found` are symbols that were asked for and that no file has, with those that may have been meant.
    """

    job_id: str = ""
    totals: Totals = field(default_factory=Totals)
    failures: list[Failure] = field(default_factory=list)
    rejected: list[tuple[Path, int]] = field(default_factory=list)
    unrecognised: list[Path] = field(default_factory=list)
    shadowed: list[tuple[Path, Path]] = field(default_factory=list)
    not_found: dict[str, list[str]] = field(default_factory=dict)
    empty_folders: list[Path] = field(default_factory=list)
    signal: int | None = None

    @property
    def exit_status(self) -> int:
        """0, 1 if a file or a row was refused or a symbol was not found, 128 + signal."""
        if self.signal is not None:
            return 128 + self.signal
        return 1 if self.failures or self.rejected or self.not_found else 0


class Stop:
    """Takes SIGINT and SIGTERM as a wish to end after the current file; the second one ends at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        for other, handler in self._before.items():
            signal.signal(other, handler)


@dataclass(frozen=True, slots=True)
class Survey:
    """What lay in the folders and what is to be done with it, by the ledger up to `change_id`, 0 without one.

    `taken` is when the folders were listed, by the monotonic clock.
    """

    found: Found
    steps: list[FilePlan]
    change_id: int
    taken: float

    def stands(self, change_id: int) -> bool:
        """Whether it may be acted on: nothing was landed or forgotten since, and files had no time to come or go."""
        return (
            self.change_id == change_id
            and time.monotonic() - self.taken < _STANDS_SECONDS
            and all(step.candidate.path.exists() for step in plan.to_do(self.steps))
        )


def survey(connection: duckdb.DuckDBPyConnection | None, request: Request, before: Survey | None = None) -> Survey:
    """What lies in the folders and what would be done with it; without a warehouse everything is new.

    `before` is what was found for the same request: the folders are not listed again if it stands.
    """
    change_id = ledger.last_change(connection) if connection is not None else 0
    if before is not None and before.stands(change_id):
        return before
    with _uncollected():
        found = discover(request.folders, request.market, request.selection)
        taken = time.monotonic()
        landed = ledger.landed_files(connection) if connection is not None else {}
        return Survey(found, plan.plan(found, landed, verify=request.verify), change_id, taken)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """What is made within is not looked through for garbage, now or later: half a million objects, and no loops.

    What is there already is not either.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def not_found(request: Request, found: Found) -> dict[str, list[str]]:
    """Symbols that are asked for and that no file has, with those that may have been meant.

    Files of many symbols (recordings) name none, and may have it where no other file is there.
    """
    return request.selection.not_found(found.symbols) if found.symbols or not found.candidates else {}


def settle(steps: Iterable[FilePlan], found: Found) -> Iterator[FilePlan]:
    """Turns comparisons into skips and replacements by reading the files; what cannot be read is refused."""
    for step in steps:
        if step.action is Action.COMPARE and step.landed is not None:
            try:
                same = _hash_of(step.candidate) == step.landed.sha256
            except (OSError, FileRejected) as error:
                reason = error if isinstance(error, FileRejected) else gone_or_unreadable(error)
                found.refused.append(Refused(step.candidate.location, str(reason)))
                continue
            action = Action.SKIP if same else Action.REPLACE
            yield FilePlan(step.candidate, action, "same content" if same else "content changed", step.landed)
        else:
            yield step


def _hash_of(candidate: Candidate) -> str:
    """The hash that the ledger keeps of a file."""
    return file_hash(candidate.path) if candidate.member is None else member_hash(candidate.path, candidate.member)


def load(
    warehouse: Warehouse,
    settings: Settings,
    request: Request,
    reporter: Reporter,
    ready: Callable[[Path, Sequence[FilePlan]], None] | None = None,
    surveyed: Survey | None = None,
) -> LoadResult:
    """Lands what the plan says; each file is in the warehouse wholly or not at all.

    `ready` is asked before the first file and may raise: there is no room, say. `surveyed` is what `survey` found for
    the same request just before.
    """
    connection = warehouse.connection
    arguments = asdict(request)
    arguments["selection"] = {
        name: sorted(value) if isinstance(value, frozenset) else value for name, value in arguments["selection"].items()
    }
    job_id = ledger.start_job(connection, "load", arguments)
    run = _Run(warehouse, settings, request, reporter, job_id)
    status = "interrupted"
    try:
        with Stop() as stop:
            run.all(stop, ready, surveyed)
        if run.report.signal is None:
            status = "failed" if run.report.exit_status else "finished"
    finally:
        ledger.finish_job(connection, job_id, status, run.report.totals)
    return run.report


class _Run:
    """One load at work."""

    def __init__(
        self, warehouse: Warehouse, settings: Settings, request: Request, reporter: Reporter, job_id: str
    ) -> None:
        self.warehouse = warehouse
        self.connection = warehouse.connection
        self.settings = settings
        self.request = request
        self.reporter = reporter
        self.report = LoadResult(job_id)
        self.tables = schema.read_tables(settings.project())
        self.file_id = ledger.next_file_id(self.connection)
        self.limits = Limits(settings.max_member_bytes, settings.max_ratio)

    def all(
        self, stop: Stop, ready: Callable[[Path, Sequence[FilePlan]], None] | None, surveyed: Survey | None
    ) -> None:
        surveyed = survey(self.connection, self.request, surveyed)
        found, steps = surveyed.found, surveyed.steps
        work = plan.to_do(steps)
        if ready is not None:
            ready(self.warehouse.path, work)
        totals = self.report.totals
        totals.files_total = len(steps) + len(found.refused)
        totals.files_skipped = len(steps) - len(work)
        self.report.unrecognised = found.unrecognised
        self.report.not_found = not_found(self.request, found)
        self.report.empty_folders = found.empty_folders
        self.report.shadowed = [(file.location, other.location) for file, other in found.shadowed]
        self.reporter.begin(len(work))
        self._refuse(found.refused)
        for batch in self._batches(work, stop):
            self._land(batch)
        self.report.signal = stop.signal

    def _batches(self, work: Sequence[FilePlan], stop: Stop) -> Iterator[list[tuple[FilePlan, Prepared]]]:
        """Prepared files, as many together as one transaction takes."""
        batch: list[tuple[FilePlan, Prepared]] = []
        size = 0
        for step, outcome in self._prepared(work, stop):
            if isinstance(outcome, FileRejected):
                self._fail(step.candidate, outcome)
                continue
            same = step.landed is not None and step.landed.sha256 == outcome.sha256
            if same and step.landed is not None:
                outcome.discard()
                self._skip(step.landed, outcome)
                continue
            room = len(batch) < self.settings.batch_files
            if batch and not (room and size + outcome.text_bytes <= self.settings.batch_bytes):
                yield batch
                batch, size = [], 0
            batch.append((step, outcome))
            size += outcome.text_bytes
            if size >= self.settings.batch_bytes:
                # No other file fits: to wait for the next one to be prepared would leave the engine idle.
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _prepared(self, work: Sequence[FilePlan], stop: Stop) -> Iterator[tuple[FilePlan, Prepared | FileRejected]]:
        """Prepares files ahead of those that are landed; ends early when told to stop."""
        waiting: deque[tuple[FilePlan, float, Future[Prepared | FileRejected]]] = deque()
        left = deque(work)
        inflation, packed_bytes, text_bytes = plan.INFLATION, 0, 0
        room = float(self.settings.batch_bytes)
        # Who asks for pauses between files has a disk that reads one at a time.
        with ThreadPoolExecutor(1 if self.request.throttle_ms else _PREPARING, "prepare") as pool:
            try:
                while stop.signal is None:
                    while left and (len(waiting) < _AHEAD or left[0].text_bytes(inflation) <= room):
                        step = left.popleft()
                        taken = step.text_bytes(inflation)
                        room -= taken
                        waiting.append((step, taken, pool.submit(self._prepare, step)))
                    if not waiting:
                        return
                    step, taken, future = waiting.popleft()
                    room += taken
                    outcome = future.result()
                    if isinstance(outcome, Prepared) and step.candidate.is_packed:
                        packed_bytes += outcome.size_bytes
                        text_bytes += outcome.text_bytes
                        inflation = text_bytes / max(packed_bytes, 1)
                    yield step, outcome
            finally:
                for *_, future in waiting:
                    future.cancel()

    def _prepare(self, step: FilePlan) -> Prepared | FileRejected:
        if self.request.throttle_ms:
            time.sleep(self.request.throttle_ms / 1000)
        try:
            return self._retried(lambda: prepare(step.candidate, self.warehouse.scratch, self.limits))
        except FileRejected as refusal:
            return refusal
        except OSError as error:
            return gone_or_unreadable(error)

    def _land(self, batch: list[tuple[FilePlan, Prepared]]) -> None:
        """Lands a batch in one transaction; what is odd by itself."""
        try:
            self._land_together([one for one in batch if not one[1].row_parse_reason])
            for step, file in batch:
                if file.row_parse_reason:
                    self._land_alone(step, file)
        finally:
            for _, file in batch:
                file.discard()

    def _land_together(self, batch: list[tuple[FilePlan, Prepared]]) -> None:
        """Lands files in one transaction or, if something is odd, each half of them so: one odd file ends up alone."""
        if not batch:
            return
        if len(batch) == 1:
            self._land_alone(*batch[0])
            return
        try:
            self._transaction(batch, ledger.now(), Strategy.TYPED_NARROW)
        except (TypedReadMismatch, *_UNTYPED, duckdb.IOException, FileRejected):
            half = len(batch) // 2
            self._land_together(batch[:half])
            self._land_together(batch[half:])

    def _land_alone(self, step: FilePlan, file: Prepared) -> None:
        started = ledger.now()
        one = [(step, file)]
        try:
            for strategy in _TYPED if file.row_parse_reason is None else ():
                try:
                    self._transaction(one, started, strategy)
                    return
                except _UNTYPED:
                    # A number may be greater than the narrow reader takes.
                    continue
                except TypedReadMismatch:
                    break
            self._retried(lambda: self._transaction(one, started, Strategy.ROW_BY_ROW))
        except (FileRejected, duckdb.Error, OSError) as error:
            # What became of the file says more than what the engine made of it.
            try:
                file.require_unchanged()
            except FileRejected as changed:
                self._fail(step.candidate, changed, file, started)
                return
            if isinstance(error, FileRejected):
                self._fail(step.candidate, error, file, started)
            elif isinstance(error, duckdb.IOException | OSError):
                # A full disk, or one that fails: no other file will fare better.
                raise
            else:
                first = str(error).strip().splitlines()[0]
                refusal = FileRejected(f"cannot be parsed ({first}): download it again")
                self._fail(step.candidate, refusal, file, started)

    def _transaction(self, batch: Sequence[tuple[FilePlan, Prepared]], started: datetime, strategy: Strategy) -> None:
        """Takes out what the files had brought, puts in what they bring now, writes the ledger. All or nothing."""
        connection = self.connection
        numbered = [(self.file_id + place, step, file) for place, (step, file) in enumerate(_by_spec(batch))]
        with transaction(connection):
            gone: dict[int, list[Range]] = {}
            for _, step, file in numbered:
                if step.landed is not None:
                    layout = file.candidate.layout
                    table = raw_table(self.tables, layout)
                    gone[step.landed.file_id] = remove(connection, table, layout, step.landed.file_id)
            ledger.mark_replaced(connection, list(gone))
            landed = self._insert([(file_id, file) for file_id, _, file in numbered], strategy)
            # The engine read the files again: what was hashed is what lands.
            for _, _, file in numbered:
                file.require_unchanged()
            entries = [self._entry(file_id, file, landed[file_id], started) for file_id, _, file in numbered]
            ledger.write_entries(connection, self.report.job_id, entries)
            ledger.write_changes(
                connection,
                self.report.job_id,
                [
                    (
                        file_id,
                        file.candidate.identity,
                        [*landed[file_id].ranges, *(gone.get(step.landed.file_id, []) if step.landed else [])],
                    )
                    for file_id, step, file in numbered
                ],
            )
        self.file_id += len(numbered)
        self._count(numbered, landed)

    def _insert(self, files: Sequence[tuple[int, Prepared]], strategy: Strategy) -> dict[int, Landed]:
        landed: dict[int, Landed] = {}
        # Neighbours of one spec share a statement.
        for spec, group in groupby(files, key=lambda numbered: ReadSpec.of(numbered[1])):
            table = raw_table(self.tables, spec.layout)
            together = list(group)
            if strategy is Strategy.ROW_BY_ROW:
                (file_id, file), *_ = together
                share = self.settings.max_rejected_share
                scratch = self.warehouse.scratch
                landed[file_id] = insert_row_by_row(self.connection, table, file_id, file, scratch, share)
            else:
                landed |= insert_typed(self.connection, table, together, narrow=strategy is Strategy.TYPED_NARROW)
        return landed

    def _count(self, numbered: Sequence[tuple[int, FilePlan, Prepared]], landed: dict[int, Landed]) -> None:
        totals = self.report.totals
        totals.files_loaded += len(numbered)
        rows = sum(one.rows_loaded for one in landed.values())
        totals.rows_loaded += rows
        for file_id, _, file in numbered:
            if rejected := landed[file_id].rows_rejected:
                totals.rows_rejected += rejected
                self.report.rejected.append((file.candidate.location, rejected))
                self.reporter.say(f"{file.candidate.location}: {rejected} rows quarantined in ops.rejected_rows")
        self.reporter.advance(len(numbered), rows)

    def _skip(self, landed: LandedFile, file: Prepared) -> None:
        self.report.totals.files_skipped += 1
        path = file.candidate.location
        if (landed.path, landed.size_bytes, landed.modified_ns) != (str(path), file.size_bytes, file.modified_ns):
            ledger.follow_moves(self.connection, [(landed.file_id, path, file.size_bytes, file.modified_ns)])
        self.reporter.advance(1, 0)

    def _fail(
        self, candidate: Candidate, refusal: FileRejected, file: Prepared | None = None, started: datetime | None = None
    ) -> None:
        entry = Entry(
            self.file_id,
            candidate.location,
            candidate.identity,
            candidate.size_bytes,
            candidate.modified_ns,
            file.sha256 if file else None,
            started or ledger.now(),
            error_message=str(refusal),
        )
        self._write_failures([entry])

    def _refuse(self, refused: Sequence[Refused]) -> None:
        """Tells what was refused by its name. The ledger keeps what may be a file of a dataset, and nothing else."""
        now = ledger.now()
        self._tell_failures([Failure(one.path, one.reason) for one in refused if not one.named])
        self._write_failures(
            [
                Entry(self.file_id + place, one.path, None, None, None, None, now, error_message=one.reason)
                for place, one in enumerate(one for one in refused if one.named)
            ]
        )

    def _write_failures(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        with transaction(self.connection):
            ledger.write_entries(self.connection, self.report.job_id, entries)
        self.file_id += len(entries)
        self._tell_failures([Failure(entry.path, entry.error_message or "") for entry in entries])

    def _tell_failures(self, failures: Sequence[Failure]) -> None:
        self.report.totals.files_failed += len(failures)
        self.report.failures += failures
        for one in failures:
            self.reporter.say(f"{one.path}: {one.message}")
        self.reporter.advance(len(failures), 0)

    def _entry(self, file_id: int, file: Prepared, landed: Landed, started: datetime) -> Entry:
        candidate = file.candidate
        return Entry(
            file_id,
            candidate.location,
            candidate.identity,
            file.size_bytes,
            file.modified_ns,
            file.sha256,
            started,
            landed=landed,
        )

    def _retried(self, work: Callable[[], _T]) -> _T:
        """Repeats what can pass (an I/O error, a busy disk), not what cannot."""
        # Not above: it brings asyncio with it, and an empty load shall end before that is imported.
        import stamina

        for attempt in stamina.retry_context(
            on=_can_pass, attempts=self.request.retries + 1, timeout=None, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return work()
        raise AssertionError("unreachable")


def _by_spec(batch: Iterable[tuple[FilePlan, Prepared]]) -> Iterator[tuple[FilePlan, Prepared]]:
    """The files of a batch, those of one spec together, so that they share a statement."""
    groups: dict[ReadSpec, list[tuple[FilePlan, Prepared]]] = {}
    for step, file in batch:
        groups.setdefault(ReadSpec.of(file), []).append((step, file))
    for group in groups.values():
        yield from group


def _can_pass(error: Exception) -> bool:
    lasting = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
    return isinstance(error, OSError | duckdb.IOException) and not isinstance(error, lasting)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def request_of(arguments: Mapping[str, Any]) -> Request:
    """The request that a job was started with, from its row in the ledger."""
    selection = arguments["selection"]
    return Request(
        tuple(Path(folder) for folder in arguments["folders"]),
        Selection(
            # A job of an older version could not choose among exchanges.
            exchanges=frozenset(selection.get("exchanges", ())),
            symbols=frozenset(selection["symbols"]),
            datasets=frozenset(selection["datasets"]),
            intervals=frozenset(selection["intervals"]),
            start=_time(selection["start"]),
            end=_time(selection["end"]),
            assets=frozenset(selection.get("assets", ())),
        ),
        arguments["market"],
        arguments["verify"],
        arguments["throttle_ms"],
        arguments["retries"],
    )


def to_dict(report: LoadResult) -> dict[str, Any]:
    """A report as plain data."""
    return {
        "job_id": report.job_id,
        **asdict(report.totals),
        "failures": [{"path": str(one.path), "error": one.message} for one in report.failures],
        "rejected": [{"path": str(path), "rows": rows} for path, rows in report.rejected],
        "shadowed": [{"path": str(path), "by": str(other)} for path, other in report.shadowed],
        "unrecognised": [str(path) for path in report.unrecognised],
        "not_found": report.not_found,
        "empty_folders": [str(folder) for folder in report.empty_folders],
        "interrupted_by": report.signal,
        "exit_status": report.exit_status,
    }
