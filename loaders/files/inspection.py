"""One file as rows: opens zip, gz and plain CSV, looks at the head, hashes and counts in one pass.

What the engine would accept without a word is caught here: a header where none is expected, columns in another
order, a ninth decimal, NUL bytes, a last line that was cut. A file that looks like every other one of its kind is
left to the engine's typed reader; one that gives cause for row_parse_reason is read row by row (`landing`).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from loaders.datasets import NO_VALUE, Column, FileLayout, Kind, Unit
from loaders.errors import FileChanged, FileRejected
from loaders.files.archives import (
    CHUNK,
    Limits,
    archive_errors,
    compare_checksum,
    copy,
    extension_of,
    file_hash,
    inflate,
    open_member,
)
from loaders.files.discovery import Candidate
from loaders.paths import can_be_a_pattern

_HEAD = 1 << 13
_TAIL = 1 << 12
_HEAD_LINES = 50
_DIGITS = b"0123456789"
# Two writes this close together may leave the same times on a file.
_CLOCK_TICK_NS = 20_000_000

# What a clean cell looks like once its digits are taken out. The engine reads more than that as a number or a time
# (1_000, 0x10, 1.7 for an integer, 2024-3-5), and it does not say so.
_CELL_WITHOUT_DIGITS = {
    Kind.INTEGER: rb"-?",
    Kind.DECIMAL: rb"-?\.?",
    Kind.BOOLEAN: rb"(?i:true|false)",
    Kind.TEXT: rb"[!#-+\--/:-~]*",
    Kind.EPOCH: rb"",
    Kind.TIMESTAMP_TEXT: rb"-- ::\.?",
}

_CELL = {
    Kind.INTEGER: r"-?\d{1,18}",
    Kind.DECIMAL: r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?",
    Kind.BOOLEAN: r"(?i:true|false)",
    Kind.TEXT: r"[^,]+",
    Kind.EPOCH: r"\d{9,16}",
    Kind.TIMESTAMP_TEXT: r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?",
}


#: What changes whenever a file does: its number, size, and the times of the last change of content and of anything.
Fingerprint = tuple[int, int, int, int]


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """The fingerprint of a file, without reading it."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def gone_or_unreadable(error: OSError) -> FileRejected:
    """What a file that was listed, and cannot be read now, is refused with."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return FileRejected("the file has gone since the folder was listed: load again")
    return FileRejected(f"cannot be read ({error.strerror or error}): check the disk and its permissions")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that has been hashed, counted and looked at; `text` is the CSV to read, temporary if it was packed.

    `rows` counts lines without the header; `row_parse_reason` says why the typed reader must not be trusted with it;
    `cut` is set if the last line may have been cut off inside its last field. `short_decimals`: no number has more than
    eight decimals, whatever raw keeps.
    """

    candidate: Candidate
    sha256: str
    size_bytes: int
    modified_ns: int
    fingerprint: Fingerprint
    text: Path
    text_bytes: int
    header: bool
    columns: tuple[Column, ...]
    unit: Unit
    rows: int
    row_parse_reason: str | None
    cut: bool
    short_decimals: bool

    def require_unchanged(self) -> None:
        """Raises `FileRejected` if the file is no longer the one that was hashed, or is gone."""
        try:
            now = fingerprint_of(self.candidate.path.stat())
        except OSError as error:
            raise gone_or_unreadable(error) from None
        if now != self.fingerprint:
            raise FileChanged

    def discard(self) -> None:
        """Removes the inflated copy, if there is one."""
        if self.text != self.candidate.path:
            self.text.unlink(missing_ok=True)


# Decimals that 18 digits hold beside prices and volumes of all usual sizes.
_SHORT = 8
_PAST_SHORT = re.compile(rb"\.\d{%d}" % (_SHORT + 1))


# To count more than these takes longer than to tell the lines of a chunk apart.
_FEW_SHAPES = 3


@dataclass(slots=True)
class _CleanLines:
    """Tells whether lines look like clean ones, once their digits are taken out.

    Without digits the lines of a file are of a few shapes, such as `,.,.,,,,true` and `,.,.,,,,false`. A pattern judges
    each shape once. Then it is enough to count: where the shapes that are known make up all of the bytes, there is no
    other line. That takes a sixth of the time of the pattern on every line.
    """

    pattern: re.Pattern[bytes]
    _shapes: set[bytes] = field(default_factory=set)
    _can_count: bool = True

    def are_all(self, lines: bytes) -> bool:
        """Whether all of these lines are clean; each begins with its newline."""
        if not lines:
            return True
        # Each shape has one newline, at its beginning, so that no two of them can share a byte.
        if self._can_count and sum(lines.count(shape) * len(shape) for shape in self._shapes) == len(lines):
            return True
        new = {b"\n" + line for line in set(lines[1:].split(b"\n"))} - self._shapes
        if any(self.pattern.fullmatch(shape) is None for shape in new):
            return False
        if self._can_count:
            self._shapes |= new
            # Where one shape begins another one, both would be counted in the same place.
            self._can_count = len(self._shapes) <= _FEW_SHAPES and not any(
                shape.startswith(other) for shape, other in permutations(self._shapes, 2)
            )
        return True


@dataclass(slots=True)
class _Scan:
    """What one pass over the bytes tells."""

    layout: FileLayout
    head: bytearray = field(default_factory=bytearray)
    tail: bytes = b""
    size: int = 0
    newlines: int = 0
    nul: bool = False
    returns: bool = False
    irregular: bool = False
    long_decimal: bool = False
    short_decimals: bool = True
    _scale: int = field(init=False)
    _long: re.Pattern[bytes] = field(init=False)
    _lines: _CleanLines = field(init=False)
    _open_line: bytes = b"\n"

    def __post_init__(self) -> None:
        scales = (column.scale for column in self.layout.columns if column.kind is Kind.DECIMAL)
        self._scale = min(scales, default=_SHORT)
        self._long = re.compile(rb"\.\d{%d}" % (self._scale + 1))
        self._lines = _CleanLines(_line_without_digits(self.layout))

    def take(self, chunk: bytes) -> None:
        # A number may lie across two chunks: the end of the one before is looked at again.
        seam = self.tail[-48:] + chunk[:48]
        body = chunk.translate(None, _DIGITS)
        self.newlines += body.count(b"\n")
        if not self.irregular:
            self._look_at_lines(body if self.size else _without_header(chunk, body, self.layout))
        if len(self.head) < _HEAD:
            self.head += chunk[:_HEAD]
        self.size += len(chunk)
        self.nul = self.nul or b"\0" in chunk
        self.returns = self.returns or b"\r" in chunk
        for part in (seam, chunk):
            if self.short_decimals and self.layout.most_decimals > _SHORT:
                self.short_decimals = _PAST_SHORT.search(part) is None
                if self.short_decimals and self._scale >= _SHORT:
                    # What has no nine decimals has no more than that either.
                    continue
            self.long_decimal = self.long_decimal or self._long.search(part) is not None
        self.tail = chunk[-_TAIL:] if len(chunk) >= _TAIL else (self.tail + chunk)[-_TAIL:]

    def end(self) -> None:
        """The last line has come, with or without its newline."""
        if self._open_line != b"\n" and not self._lines.are_all(self._open_line):
            self.irregular = True

    def _look_at_lines(self, body: bytes) -> None:
        """Every whole line must look like a clean one; what begins a line waits for its rest."""
        lines, _, rest = (self._open_line + body).rpartition(b"\n")
        self._open_line = b"\n" + rest
        self.irregular = not self._lines.are_all(lines) or len(rest) > CHUNK


def _line_without_digits(layout: FileLayout) -> re.Pattern[bytes]:
    """A clean line of a layout, after a newline, without its digits."""
    derived = {name for name, _ in layout.derived}
    cells = [
        # What a derived column is made of is judged in SQL, for both readers alike.
        rb"[ -+\--~]*" if column.kind is Kind.TEXT and column.name in derived else _CELL_WITHOUT_DIGITS[column.kind]
        for column in (*layout.columns, *layout.optional)
    ]
    always = len(layout.columns)
    line = b",".join(cells[:always]) + b"".join(rb"(?:," + cell + rb")?" for cell in cells[always:])
    return re.compile(rb"\n" + line)


def _without_header(chunk: bytes, body: bytes, layout: FileLayout) -> bytes:
    """The first chunk's `body` without the line that names the columns, if there is one."""
    first = chunk[: chunk.find(b"\n") + 1].decode("utf-8", "replace")
    return body[body.find(b"\n") + 1 :] if first and _is_header(first.rstrip("\n"), layout) else body


def prepare(candidate: Candidate, scratch: Path, limits: Limits) -> Prepared:
    """Reads the file once. Raises `FileRejected` for what cannot be landed whatever its rows are, OSError."""
    path = candidate.path
    try:
        before = path.stat()
        if abs(time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns)) < _CLOCK_TICK_NS:
            # Just written: a second edit at the same time of the clock could not be told from the first one.
            time.sleep(_CLOCK_TICK_NS / 1e9)
            before = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise gone_or_unreadable(error) from None
    if before.st_size == 0:
        raise FileRejected("the file is empty: download it again")
    scan = _Scan(candidate.layout)
    packed = extension_of(path.name) != ".csv"
    if candidate.member is not None:
        # Of one of many files in an archive, the content counts: it is the same file as the unpacked one.
        digest = hashlib.sha256()

        def take(chunk: bytes) -> None:
            digest.update(chunk)
            scan.take(chunk)

        text = inflate(path, scratch, limits, candidate.size_bytes, take, candidate.member)
        sha256 = digest.hexdigest()
    elif packed:
        sha256 = file_hash(path)
        text = inflate(path, scratch, limits, before.st_size, scan.take)
    else:
        if before.st_size > limits.max_bytes:
            raise FileRejected(
                f"has {before.st_size} bytes, more than {limits.max_bytes}: raise LOADERS_MAX_MEMBER_BYTES"
            )
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                scan.take(chunk)
                # Somebody may be writing faster than this reads.
                if scan.size > before.st_size:
                    raise FileChanged
        sha256, text = digest.hexdigest(), path
        if not can_be_a_pattern(path):
            # The engine cannot be given this name literally.
            text = copy(path, scratch)
    scan.end()
    try:
        after = path.stat()
        if fingerprint_of(before) != fingerprint_of(after):
            raise FileChanged
        if candidate.member is None:
            compare_checksum(path, sha256)
        return _describe(candidate, scan, sha256, after, text, packed)
    except BaseException:
        if text != path:
            text.unlink(missing_ok=True)
        raise


def peek(candidate: Candidate) -> None:
    """Opens the file and looks at its first lines only. Raises `FileRejected`, OSError."""
    scan = _Scan(candidate.layout)
    if extension_of(candidate.path.name) == ".csv":
        with candidate.path.open("rb") as file:
            scan.take(file.read(_HEAD))
    else:
        with archive_errors(), open_member(candidate.path, candidate.member) as source:
            scan.take(source.read(_HEAD))
    if not scan.size:
        raise FileRejected("the file is empty: download it again")
    header, sample = _first_lines(scan, whole=scan.size < _HEAD)
    _unit_of(sample, _columns_of(sample, header, candidate.layout))


def _first_lines(scan: _Scan, *, whole: bool) -> tuple[str | None, list[str]]:
    """Header, if there is one, and the first rows. Raises `FileRejected` for what is no CSV with rows."""
    head = _decode(bytes(scan.head), scan)
    lines = [line for line in head.splitlines() if line.strip()]
    if not whole and len(lines) > 1:
        lines.pop()
    if not lines:
        raise FileRejected("the file holds no lines: download it again")
    if lines[0].lstrip().startswith(("<", "{")):
        raise FileRejected("is a web page or an error answer, not a CSV file: download it again")
    if not _is_header(lines[0], scan.layout):
        return None, lines
    if len(lines) == 1:
        raise FileRejected("has a header and no rows: download it again, or take it away")
    return lines[0], lines[1:]


def _describe(
    candidate: Candidate, scan: _Scan, sha256: str, status: os.stat_result, text: Path, packed: bool
) -> Prepared:
    title, sample = _first_lines(scan, whole=len(scan.head) >= scan.size)
    header = title is not None
    columns = _columns_of(sample, title, candidate.layout)
    complete = scan.tail.endswith((b"\n", b"\r"))
    rows = scan.newlines + (not complete) - header
    last = scan.tail.decode("utf-8", "replace").splitlines()[-1]
    pattern = _line_pattern(columns)
    row_parse_reason = None
    if scan.returns or scan.head.startswith(b"\xef\xbb\xbf"):
        row_parse_reason = "carriage returns or a byte order mark"
    elif scan.long_decimal:
        row_parse_reason = "more decimals than raw keeps"
    elif scan.irregular:
        row_parse_reason = "a cell that the typed reader would take for something else"
    elif not all(pattern.fullmatch(line) for line in (*sample[:_HEAD_LINES], last)):
        row_parse_reason = "a line that is not like the others"
    cut = not complete and not packed and _may_be_cut(last, sample, columns)
    return Prepared(
        candidate=candidate,
        sha256=sha256,
        size_bytes=status.st_size if candidate.member is None else candidate.size_bytes,
        modified_ns=status.st_mtime_ns,
        fingerprint=fingerprint_of(status),
        text=text,
        text_bytes=scan.size,
        header=header,
        columns=columns,
        unit=_unit_of(sample, columns),
        rows=rows,
        row_parse_reason=row_parse_reason or ("a last line that may be cut" if cut else None),
        cut=cut,
        short_decimals=scan.short_decimals,
    )


def _decode(head: bytes, scan: _Scan) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileRejected("is UTF-16, the archive writes UTF-8: convert it (iconv -f UTF-16 -t UTF-8)")
    if scan.nul:
        raise FileRejected("holds NUL bytes (a damaged disk, or no text at all): download it again")
    return head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def _is_header(line: str, layout: FileLayout) -> bool:
    """Whether the first line names columns. A name among the cells decides; a first cell that is no value, too."""
    cells = _names(line)
    if layout.titles and layout.column_of_title(line.split(",")[0]) is not None:
        named = [layout.column_of_title(cell) for cell in line.split(",")]
        if sum(name is not None for name in named) >= min(4, len(named)):
            return True
    known = {column.name for column in (*layout.columns, *layout.optional)}
    if sum(cell in known for cell in cells) >= min(2, len(cells)):
        return True
    first = layout.columns[0]
    return first.kind is not Kind.TEXT and re.fullmatch(r"[A-Za-z_ ]+", line.split(",")[0]) is not None


def _names(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in line.split(",")]


def _columns_of(sample: list[str], header: str | None, layout: FileLayout) -> tuple[Column, ...]:
    """The columns of this file. Raises `FileRejected` if header or width are not those of the layout."""
    full = (*layout.columns, *layout.optional)
    if header is not None and layout.titles:
        return _columns_of_titles(header, layout)
    if header is not None:
        names = _names(header)
        for columns in (layout.columns, full):
            published = [column.name for column in columns]
            if names == published:
                return columns
            if sorted(names) == sorted(published):
                raise FileRejected(
                    f"has its columns in another order ({header.strip()}): the archive writes {','.join(published)}; "
                    "which of header and rows is wrong cannot be known, download it again"
                )
        unknown = [name for name in names if name not in {column.name for column in full}]
        missing = [column.name for column in layout.columns if column.name not in names]
        what = "; ".join(
            part
            for part in (
                f"unknown columns {', '.join(unknown)}" if unknown else "",
                f"missing columns {', '.join(missing)}" if missing else "",
            )
            if part
        )
        raise FileRejected(f"has wrong columns ({what or header.strip()}): is it the dataset that its name says?")
    # The widest agreement decides, so that one broken line at the top does not condemn the file.
    widths = [line.count(",") + 1 for line in sample[:_HEAD_LINES]]
    width = max(set(widths), key=widths.count)
    if width == 1 and (other := next((mark for mark in (";", "\t", "|") if mark in sample[0]), None)):
        name = {";": "semicolons", "\t": "tabs", "|": "bars"}[other]
        raise FileRejected(
            f"is separated by {name}, the archive writes commas (was it saved by a spreadsheet?): download it again"
        )
    for columns in (layout.columns, full):
        if width == len(columns):
            return columns
    raise FileRejected(
        f"has wrong columns ({width} in a row, {layout.name} has {len(layout.columns)}): "
        "is it the dataset that its name says?"
    )


def _columns_of_titles(header: str, layout: FileLayout) -> tuple[Column, ...]:
    """The columns that a header names in its own words and order. Raises `FileRejected` where it cannot be trusted."""
    known = {column.name: column for column in (*layout.columns, *layout.optional)}
    titles = [title.strip() for title in header.split(",")]
    names = [layout.column_of_title(title) for title in titles]
    faults = []
    if unknown := [title for title, name in zip(titles, names, strict=True) if name is None]:
        faults.append(f"unknown columns {', '.join(unknown)}: take them out, or call them {', '.join(known)}")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        faults.append(f"two columns for {', '.join(twice)}: take one of them out")
    if missing := [name for name, column in known.items() if not column.blank and name not in names]:
        faults.append(f"no column for {', '.join(missing)}: a recording needs them")
    if faults:
        raise FileRejected(f"has a header that cannot be read ({header.strip()}): {'; '.join(faults)}")
    # What is passed over still has its place in each row.
    return tuple(
        known[name] if name else Column(f"ignored_{place}", Kind.TEXT, blank=True)
        for place, name in enumerate(names, 1)
    )


def _unit_of(sample: list[str], columns: tuple[Column, ...]) -> Unit:
    """Unit of the epochs, by the magnitude of the first one that can be read. Raises `FileRejected`."""
    place = next((index for index, column in enumerate(columns) if column.kind is Kind.EPOCH), None)
    if place is None:
        return Unit.MICROSECONDS
    cell = ""
    for line in sample:
        cells = line.split(",")
        cell = cells[place].strip() if place < len(cells) else ""
        if cell.isascii() and cell.isdigit() and len(cell) < 19:
            unit = Unit.of(int(cell))
            if unit is not None:
                return unit
    raise FileRejected(f"{columns[place].name} is no time in seconds, milliseconds or microseconds ({cell!r})")


def _line_pattern(columns: tuple[Column, ...]) -> re.Pattern[str]:
    # A word for no value (`None`) fits no number: such a file is read row by row, where the words are known.
    cells = (f"(?:{_cell(column)})" + ("?" if column.blank else "") for column in columns)
    return re.compile(",".join(cells))


def _cell(column: Column) -> str:
    if column.kind is Kind.TEXT and column.blank:
        return rf"(?!(?i:{'|'.join(filter(None, NO_VALUE))})(?:,|$)){_CELL[Kind.TEXT]}"
    return _CELL[column.kind]


def _may_be_cut(last: str, sample: list[str], columns: tuple[Column, ...]) -> bool:
    """Whether a last line without its newline may have lost characters of its last field.

    A flag or the constant `ignore` shows it by itself. Numbers are compared with the others of the column: one with
    fewer decimals than any of them is suspect, and an integer always is.
    """
    column = columns[-1]
    if column.kind in (Kind.BOOLEAN, Kind.TEXT):
        return False
    if column.kind is not Kind.DECIMAL:
        return True
    others = [cell for line in sample if line != last and (cell := line.rsplit(",", 1)[-1].strip())]
    return bool(others) and _decimals(last.rsplit(",", 1)[-1]) < min(map(_decimals, others))


def _decimals(cell: str) -> int:
    """Decimals of a number; -1 for an empty cell."""
    return len(cell.strip().partition(".")[2]) if cell.strip() else -1
