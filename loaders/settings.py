"""Settings from the environment (LOADERS_*); the command line overrides them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from loaders.errors import ProjectNotFound, WrongSetting

# What DuckDB takes as an amount of memory.
_MEMORY = re.compile(r"(?i)\s*(none|-1|\d+(\.\d+)?\s*([kmgt](i?b)?|b|bytes?|(kilo|mega|giga|tera)bytes?))\s*")


def _variable(name: str) -> str:
    return f"LOADERS_{name.upper()}"


def _from_environment(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """The fields: what the environment says, in whatever case, goes before a default; each is read in its own way."""

    def told(name: str, default: Any) -> Callable[[], Any]:
        wanted = _variable(name)
        return lambda: next((value for key, value in os.environ.items() if key.upper() == wanted), default)

    return [
        field.evolve(
            default=attrs.Factory(told(field.name, field.default)),
            converter=attrs.Converter(_converted, takes_field=True),
        )
        for field in fields
    ]


def _converted(value: Any, field: attrs.Attribute[Any]) -> Any:
    """What a field makes of a value; the `ValueError` of one that cannot be meant becomes `WrongSetting`."""
    try:
        return field.metadata["read"](value)
    except ValueError as error:
        raise WrongSetting(_variable(field.name), value, str(error)) from None


def _path(value: Any) -> Path | None:
    if value is None or isinstance(value, Path):
        return value
    if isinstance(value, str):
        return Path(value)
    raise ValueError("a path is needed")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("a text is needed")


def _memory(value: Any) -> str:
    if isinstance(value, str) and _MEMORY.fullmatch(value):
        return value
    raise ValueError("an amount of memory with its unit is needed, such as 512MB or 1.5 GiB")


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _number(kind: type[int] | type[float], least: int, most: int | None = None) -> Callable[[Any], Any]:
    """Reads a number within these limits, both included."""
    whole = "whole " if kind is int else ""
    limits = f"of {least} or more" if most is None else f"from {least} to {most}"

    def read(value: Any) -> Any:
        wrong = ValueError(f"a {whole}number {limits} is needed")
        try:
            number = kind(value)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        # NaN is not at least anything, and 2.5 is no whole number.
        too_great = most is not None and number > most
        if not least <= number or too_great or (isinstance(value, float) and number != value):
            raise wrong
        return number

    return read


# Not pydantic: it takes a third of the time of an empty load to import.
@attrs.frozen(kw_only=True, field_transformer=_from_environment)
class Settings:
    """Everything a run can be told from outside. Sizes in bytes unless the name says otherwise.

    A field is `LOADERS_` and its name in the environment, in whatever case; a value that is given goes before. Raises
    `WrongSetting` for a value that cannot be meant.
    """

    project_dir: Path | None = attrs.field(default=None, metadata={"read": _path})
    warehouse: Path | None = attrs.field(default=None, metadata={"read": _path})
    #: Folder of the Data Docs; default target/data_docs.
    data_docs: Path | None = attrs.field(default=None, metadata={"read": _path})
    #: File that clients open; default marts.duckdb beside the warehouse.
    published: Path | None = attrs.field(default=None, metadata={"read": _path})
    #: Where the page is written; default report.html beside the warehouse.
    report: Path | None = attrs.field(default=None, metadata={"read": _path})
    #: Chromium or Chrome, for pictures of the page; default the one that is installed.
    browser: Path | None = attrs.field(default=None, metadata={"read": _path})

    #: What DuckDB may use to validate and publish; the process adds about 200 MB.
    memory_limit: str = attrs.field(default="1GB", metadata={"read": _memory})
    #: The same while files are landed, which more memory does not make faster.
    load_memory_limit: str = attrs.field(default="512MB", metadata={"read": _memory})
    #: DuckDB's threads; default all cores, and one more where files are landed.
    threads: int | None = attrs.field(default=None, metadata={"read": _optional(_number(int, 1))})
    #: Pause between files; 200 for a spinning disk.
    throttle_ms: int = attrs.field(default=0, metadata={"read": _number(int, 0)})
    #: Repetitions after an error that can pass.
    retries: int = attrs.field(default=3, metadata={"read": _number(int, 0)})
    #: Share of rejected rows above which a file fails; one row is always allowed.
    max_rejected_share: float = attrs.field(default=0.01, metadata={"read": _number(float, 0, 1)})
    #: Small files in one transaction, at most.
    batch_files: int = attrs.field(default=256, metadata={"read": _number(int, 1)})
    #: Bytes of files in one transaction; a larger file has its own.
    batch_bytes: int = attrs.field(default=64 * 2**20, metadata={"read": _number(int, 1)})
    #: Largest inflated file that is taken.
    max_member_bytes: int = attrs.field(default=64 * 2**30, metadata={"read": _number(int, 1)})
    #: Largest inflation of an archive; CSV of prices shrinks 5 to 15 times.
    max_ratio: int = attrs.field(default=500, metadata={"read": _number(int, 1)})

    #: Files of the Binance archive; keys follow behind it.
    binance_archive_url: str = attrs.field(default="https://data.binance.vision", metadata={"read": _text})
    #: The archive's listing (S3, XML).
    binance_listing_url: str = attrs.field(
        default="https://s3-ap-northeast-1.amazonaws.com/data.binance.vision", metadata={"read": _text}
    )
    #: REST of Binance USD-M.
    binance_rest_url: str = attrs.field(default="https://fapi.binance.com", metadata={"read": _text})
    #: REST of Kraken.
    kraken_rest_url: str = attrs.field(default="https://api.kraken.com", metadata={"read": _text})
    #: Least time between two calls to Kraken.
    kraken_seconds_between: float = attrs.field(default=1.0, metadata={"read": _number(float, 0)})
    #: Files downloaded at once.
    connections: int = attrs.field(default=8, metadata={"read": _number(int, 1, 64)})
    #: Attempts at one request, with growing pauses.
    request_attempts: int = attrs.field(default=6, metadata={"read": _number(int, 1)})
    #: Pause after the first failed attempt.
    first_pause_seconds: float = attrs.field(default=0.5, metadata={"read": _number(float, 0)})
    #: What the pauses grow to.
    longest_pause_seconds: float = attrs.field(default=60, metadata={"read": _number(float, 0)})
    #: A ban that lasts longer is reported instead of waited out.
    longest_ban_seconds: float = attrs.field(default=600, metadata={"read": _number(float, 0)})

    def project(self) -> Path:
        """The folder that holds dbt_project.yml. Raises `ProjectNotFound`."""
        if self.project_dir is not None:
            places = [self.project_dir]
        else:
            here = Path.cwd()
            places = [here, *here.parents, Path(__file__).resolve().parent.parent]
        for place in places:
            if (place / "dbt_project.yml").is_file():
                return place.resolve()
        raise ProjectNotFound

    def warehouse_path(self) -> Path:
        """The warehouse, absolute; the same default as profiles.yml."""
        return (self.warehouse or self.project() / "warehouse.duckdb").expanduser().absolute()

    def data_docs_path(self) -> Path:
        """Where `validate` writes its pages, absolute."""
        return (self.data_docs or self.project() / "target" / "data_docs").expanduser().absolute()

    def report_path(self) -> Path:
        """Where `run` and `report` write the page, absolute."""
        return (self.report or self.warehouse_path().with_name("report.html")).expanduser().absolute()

    def published_path(self) -> Path:
        """The file that clients open, absolute."""
        return (self.published or self.warehouse_path().with_name("marts.duckdb")).expanduser().absolute()
