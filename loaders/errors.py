"""What can go wrong, by name. Every message says what happened and what to do next.

Exit statuses: 1 something the user must look at, 2 wrong usage, 75 busy, try later (sysexits' EX_TEMPFAIL).
"""

from __future__ import annotations

from collections.abc import Sequence


class LoadersError(Exception):
    """Base of all errors that end a command with a message instead of a traceback."""

    exit_status = 1


class WrongUsage(LoadersError):
    """The command was given something that cannot be meant."""

    exit_status = 2


class WrongSetting(WrongUsage):
    """A setting from the environment has a value that cannot be meant."""

    def __init__(self, name: str, value: object, why: str) -> None:
        super().__init__(f"{name} is {value!r}: {why[:1].lower()}{why[1:]}")


class ProjectNotFound(WrongUsage):
    """No folder with a dbt_project.yml was found."""

    def __init__(self) -> None:
        super().__init__(
            "no dbt_project.yml here or in a folder above: run in the project's folder, or set LOADERS_PROJECT_DIR"
        )


class WarehouseMissing(LoadersError):
    """The warehouse file does not exist, and the command only reads."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} does not exist: run `loaders load` first, or name another one with --warehouse")


class MartsMissing(LoadersError):
    """A table of the marts is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not there: run `dbt build` first")


class NotBuilt(LoadersError):
    """dbt has not built the warehouse yet, and the command is about what it builds."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} was not built yet: run `dbt build` first")


class WarehouseRenamed(LoadersError):
    """The warehouse's views name the file that it was when they were built."""

    def __init__(self, path: object, name: str) -> None:
        super().__init__(
            f"{path} was built as {name}.duckdb, and its views still name that: rename it back, or run `dbt build`"
        )


class WarehouseUnreadable(LoadersError):
    """DuckDB cannot open the file."""

    def __init__(self, path: object, why: str) -> None:
        super().__init__(
            f"{path} cannot be opened: {why}. Keep the file and its .wal together; "
            "restore both from a copy if they are damaged"
        )


class WarehouseBusy(LoadersError):
    """Another process writes to the warehouse. Exit status 75: try later."""

    exit_status = 75

    def __init__(self, path: object, holder: str) -> None:
        super().__init__(f"{path} is busy: {holder} has it. Try later, or wait for it with --wait SECONDS")


class SchemaTooNew(LoadersError):
    """The warehouse was written by a newer version of the loaders."""

    def __init__(self, path: object, found: int, known: int) -> None:
        super().__init__(
            f"{path} has tables of version {found}, these loaders know {known}: update the project before writing to it"
        )


class SchemaUnreadable(LoadersError):
    """The sources YAML does not describe the tables as expected."""


class NotEnoughDisk(LoadersError):
    """The plan would not fit on the disk."""


class JobUnknown(WrongUsage):
    """`--resume` names a job that the ledger does not have."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id} in the ledger: `loaders status` lists them")


class NothingToForget(LoadersError):
    """`forget` matched no landed file; `unknown` are the files and symbols that it was given and nobody landed."""

    def __init__(self, unknown: Sequence[str] = ()) -> None:
        which = f" {', '.join(unknown)}" if unknown else ""
        super().__init__(f"no landed file matches{which}: `loaders status` shows what is there and what failed")


class DemoFailed(LoadersError):
    """A step of the demo ended badly."""


class FileRejected(LoadersError):
    """A file that cannot be landed. The message says why and what to do; retrying does not help."""


class FileChanged(FileRejected):
    """The file was written to while it was read."""

    def __init__(self) -> None:
        super().__init__("the file changed while it was read: load again once its writer has finished")


class FolderNotOurs(LoadersError):
    """A folder that would be emptied holds something that this project did not write."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} holds something that is no Data Docs of ours, and would be emptied: "
            "name another with LOADERS_DATA_DOCS"
        )


class NotPublishable(LoadersError):
    """The warehouse's state did not pass everything; the last published file stays."""

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing was published, the last file stays: {why}")


class PublishedBusy(LoadersError):
    """Another process publishes to the same file. Exit status 75: try later."""

    exit_status = 75

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} is being published by another process: try later")


class PathRefused(WrongUsage):
    """A path under which a file of ours cannot be, or where it would destroy another one."""


class PlaceUnwritable(LoadersError):
    """A folder or file in which something must be written, and cannot."""

    def __init__(self, path: object, error: OSError) -> None:
        super().__init__(f"{path} cannot be written ({error.strerror or error}): check its folder and permissions")


class SourceError(LoadersError):
    """A server did not give what was asked of it."""


class SourceUnavailable(SourceError):
    """A server did not answer, or not in order, after all repetitions. Exit status 75: try later."""

    exit_status = 75

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url} could not be read ({why}): what came before it is kept, run it again later")


class AddressBlocked(SourceError):
    """The server refuses this address altogether; asking again makes it worse."""

    def __init__(self, server: str, status: int) -> None:
        why = {
            451: "does not serve the country of this address (451): no later attempt will help, use files instead",
        }.get(status, f"refuses this address ({status}): stop asking for some hours, then try again")
        super().__init__(f"{server} {why}")


class Banned(SourceError):
    """The server banned this address for longer than is worth waiting for. Exit status 75: try later."""

    exit_status = 75

    def __init__(self, server: str, until: str) -> None:
        super().__init__(f"{server} has banned this address until {until} UTC: run it again after that")


class FetchBusy(SourceError):
    """Another process downloads into the same folder. Exit status 75: try later."""

    exit_status = 75

    def __init__(self, folder: object) -> None:
        super().__init__(f"another process is downloading into {folder}: try later")


class PublishedMissing(LoadersError):
    """There is no published file, and the command only reads it."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} does not exist: `loaders run` or `loaders publish` writes it, LOADERS_PUBLISHED names it"
        )


class PublishedUnreadable(LoadersError):
    """The published file cannot be opened, or has no marts."""

    def __init__(self, path: object, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}. `loaders publish` writes it anew")


class SymbolNotPublished(WrongUsage):
    """A symbol was asked for that the published file does not have."""

    def __init__(self, symbol: str, known: list[str]) -> None:
        some = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
        super().__init__(f"{symbol} is not in the published file, which has {some or 'no symbol with candles'}")


class NoBrowser(LoadersError):
    """A picture of the page needs a browser."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"no picture was drawn: {why}. Install chromium (or Chrome), or name it with LOADERS_BROWSER; "
            "the page itself needs none"
        )


class ExtraMissing(LoadersError):
    """An optional part of the package is not installed; `why` is what the import said."""

    def __init__(self, extra: str, why: str = "") -> None:
        super().__init__(
            f"this needs the extra `{extra}`: pip install 'loaders[{extra}]'" + (f" ({why})" if why else "")
        )


class NotExportable(LoadersError):
    """The warehouse's state did not pass what an export asks of it; the zone stays as it is."""

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing was exported: {why}")


class ZoneBusy(LoadersError):
    """Another process exports the same warehouse to the same place. Exit status 75: try later."""

    exit_status = 75

    def __init__(self, address: object) -> None:
        super().__init__(f"another process exports this warehouse to {address}: try later")


class ZoneConflict(LoadersError):
    """Symbols of the zone come from another warehouse."""

    def __init__(self, address: object, symbols: Sequence[str], owner: str) -> None:
        super().__init__(
            f"{', '.join(symbols)} in {address} come from another warehouse ({owner}): export other "
            "symbols (--symbol), or replace them with this warehouse's by --take-over"
        )


class NotNotified(LoadersError):
    """The message of `--notify` did not go out."""
