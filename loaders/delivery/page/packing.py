"""Columns of numbers as text in the page: small, and read without a loop over rows.

A block is `[length of the header, 4 bytes][header, JSON][column][column]...`, compressed by gzip, in base64. The header
lists `[name, type, rows, delta]` of each column. A column's bytes are split into planes (all first bytes, then
all second bytes, ...) and integers may be stored as differences, so that gzip finds what repeats. `page.js` is the
other half.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Types that the browser has arrays of.
_TYPES = {"u1", "u2", "i4", "f4", "f8"}


def pack(columns: dict[str, Array]) -> str:
    """The columns as text. Integers of a sorted or smooth column come best as `i4`: they are stored as differences."""
    header, planes = [], []
    for name, values in columns.items():
        kind = values.dtype.str[1:]
        if kind not in _TYPES:
            raise TypeError(f"{name} is of {values.dtype}, which the page cannot read")
        delta = kind == "i4"
        stored = np.diff(values, prepend=values.dtype.type(0)) if delta else values
        little = np.ascontiguousarray(stored, dtype=values.dtype.newbyteorder("<"))
        planes.append(little.view("u1").reshape(len(values), values.dtype.itemsize).T.tobytes())
        header.append([name, kind, len(values), delta])
    head = json.dumps(header).encode()
    block = struct.pack("<I", len(head)) + head + b"".join(planes)
    # No time in the header: the same data gives the same page.
    return base64.b64encode(gzip.compress(block, compresslevel=6, mtime=0)).decode()


def unpack(text: str) -> dict[str, Array]:
    """The columns again, as the page reads them."""
    block = gzip.decompress(base64.b64decode(text))
    (length,) = struct.unpack_from("<I", block)
    at = 4 + length
    columns: dict[str, Array] = {}
    for name, kind, rows, delta in json.loads(block[4:at]):
        size = np.dtype(kind).itemsize
        planes = np.frombuffer(block, "u1", rows * size, at).reshape(size, rows)
        values = np.ascontiguousarray(planes.T).view("<" + kind).reshape(rows)
        columns[name] = np.cumsum(values, dtype=kind) if delta else values
        at += rows * size
    return columns
