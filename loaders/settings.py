"""Settings from the environment (LOADERS_*); the command line overrides them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loaders.errors import ProjectNotFound, WrongSetting

# What DuckDB takes as an amount of memory.
_MEMORY = r"(?i)^\s*(none|-1|\d+(\.\d+)?\s*([kmgt](i?b)?|b|bytes?|(kilo|mega|giga|tera)bytes?))\s*$"


_PREFIX = "loaders_"


def _is_ours(name: str) -> bool:
    return name.lower().startswith(_PREFIX)


class Settings(BaseModel):
    """Everything a run can be told from outside. Sizes in bytes unless the name says otherwise.

    A field is `LOADERS_` and its name in the environment, in whatever case; a value that is given goes before. Raises
    `WrongSetting` for a value that cannot be meant.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    project_dir: Path | None = None
    warehouse: Path | None = None
    data_docs: Path | None = Field(default=None, description="Folder of the Data Docs; default target/data_docs.")
    published: Path | None = Field(
        default=None, description="File that clients open; default marts.duckdb beside the warehouse."
    )

    report: Path | None = Field(
        default=None, description="Where the page is written; default report.html beside the warehouse."
    )
    browser: Path | None = Field(
        default=None, description="Chromium or Chrome, for pictures of the page; default the one that is installed."
    )

    memory_limit: str = Field(
        default="1GB",
        pattern=_MEMORY,
        description="What DuckDB may use to validate and publish; the process adds about 200 MB.",
    )
    load_memory_limit: str = Field(
        default="384MB",
        pattern=_MEMORY,
        description="The same while files are landed, which more memory does not make faster.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="DuckDB's threads; default all cores, and one more where files are landed."
    )
    throttle_ms: int = Field(default=0, ge=0, description="Pause between files; 200 for a spinning disk.")
    retries: int = Field(default=3, ge=0, description="Repetitions after an error that can pass.")
    max_rejected_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of rejected rows above which a file fails; one row is always allowed.",
    )
    batch_files: int = Field(default=256, ge=1, description="Small files in one transaction, at most.")
    batch_bytes: int = Field(
        default=64 * 2**20, ge=1, description="Bytes of files in one transaction; a larger file has its own."
    )
    max_member_bytes: int = Field(default=64 * 2**30, ge=1, description="Largest inflated file that is taken.")
    max_ratio: int = Field(
        default=500, ge=1, description="Largest inflation of an archive; CSV of prices shrinks 5 to 15 times."
    )

    binance_archive_url: str = Field(
        default="https://data.binance.vision", description="Files of the Binance archive; keys follow behind it."
    )
    binance_listing_url: str = Field(
        default="https://s3-ap-northeast-1.amazonaws.com/data.binance.vision",
        description="The archive's listing (S3, XML).",
    )
    binance_rest_url: str = Field(default="https://fapi.binance.com", description="REST of Binance USD-M.")
    kraken_rest_url: str = Field(default="https://api.kraken.com", description="REST of Kraken.")
    kraken_seconds_between: float = Field(default=1.0, ge=0, description="Least time between two calls to Kraken.")
    connections: int = Field(default=8, ge=1, le=64, description="Files downloaded at once.")
    request_attempts: int = Field(default=6, ge=1, description="Attempts at one request, with growing pauses.")
    first_pause_seconds: float = Field(default=0.5, ge=0, description="Pause after the first failed attempt.")
    longest_pause_seconds: float = Field(default=60, ge=0, description="What the pauses grow to.")
    longest_ban_seconds: float = Field(
        default=600, ge=0, description="A ban that lasts longer is reported instead of waited out."
    )

    def __init__(self, **values: Any) -> None:
        # pydantic-settings does the same, and takes as long to import as all the rest of an empty load.
        told = {name.lower().removeprefix(_PREFIX): value for name, value in os.environ.items() if _is_ours(name)}
        try:
            super().__init__(**(told | values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = "_".join(map(str, first["loc"]))
            raise WrongSetting(f"LOADERS_{name.upper()}", first["input"], first["msg"]) from error

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
