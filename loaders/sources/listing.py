"""What lies in the archive: pages of its S3 listing, followed to the end.

A page that failed fails the listing: a file that was not named must never be taken for one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

from loaders.errors import SourceUnavailable
from loaders.sources.http import CanPass, Client
from loaders.sources.transport import Response

CHECKSUM = ".CHECKSUM"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of the archive. `etag` without quotes; `modified` in UTC; `checksum`: one is published beside it."""

    key: str
    size: int
    etag: str
    modified: datetime
    checksum: bool

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class _Page:
    keys: tuple[tuple[str, int, str, datetime], ...]
    folders: tuple[str, ...]
    truncated: bool
    next_marker: str | None


class Listing:
    """The archive's listing. Folders are asked for once in a lifetime of this object."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str, str], list[RemoteFile]] = {}

    def files(self, folder: str, *, first: str = "", last: str = "") -> list[RemoteFile]:
        """Zip files that lie in a folder (`.../`, no deeper), with names from `first` to those that begin with `last`.

        Raises `SourceUnavailable` if any page could not be read.
        """
        question = (folder, first, last)
        if question not in self._known:
            self._known[question] = list(self._files(folder, first, last))
        return self._known[question]

    def folders(self, folder: str) -> list[str]:
        """Names of the folders within a folder."""
        found = []
        for page in self._pages(folder, ""):
            # The root of a listing echoes its own prefix, and copies with a slash in front are junk.
            found += [
                name for path in page.folders if (name := path.removeprefix(folder).rstrip("/")) and path != folder
            ]
        return found

    def _files(self, folder: str, first: str, last: str) -> Iterator[RemoteFile]:
        # The marker itself is not listed: one character less than the first name comes before it.
        marker = folder + first[:-1] if first else ""
        keys: dict[str, tuple[int, str, datetime]] = {}
        for page in self._pages(folder, marker):
            for key, size, etag, modified in page.keys:
                name = key.removeprefix(folder)
                if key.startswith(folder) and name and "/" not in name:
                    keys[name] = (size, etag, modified)
            if last and page.keys and page.keys[-1][0] > folder + last + "\uffff":
                break
        for name, (size, etag, modified) in keys.items():
            if name.endswith(".zip") and (not first or name >= first) and (not last or name[: len(last)] <= last):
                yield RemoteFile(folder + name, size, etag, modified, name + CHECKSUM in keys)

    def _pages(self, prefix: str, marker: str) -> Iterator[_Page]:
        while True:
            params = {"delimiter": "/", "prefix": prefix} | ({"marker": marker} if marker else {})
            page = self._client.get("", _page, params=params)
            yield page
            if not page.truncated:
                return
            # `NextMarker` comes with a delimiter only; otherwise the last key is the place to go on from.
            following = page.next_marker or (page.keys[-1][0] if page.keys else "")
            if following <= marker:
                raise SourceUnavailable(self._client.base_url, f"the listing of {prefix} does not come to its end")
            marker = following


def _page(response: Response) -> _Page:
    body = response.read()
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise CanPass(f"the listing is no XML ({error})") from None
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    if root.tag != f"{space}ListBucketResult":
        raise CanPass(f"the listing is {root.tag!r}")

    def text(element: ElementTree.Element, name: str) -> str:
        return element.findtext(space + name) or ""

    return _Page(
        keys=tuple(
            (
                text(content, "Key"),
                int(text(content, "Size")),
                text(content, "ETag").strip('"'),
                datetime.fromisoformat(text(content, "LastModified")),
            )
            for content in root.iter(f"{space}Contents")
        ),
        folders=tuple(text(common, "Prefix") for common in root.iter(f"{space}CommonPrefixes")),
        truncated=text(root, "IsTruncated") == "true",
        next_marker=text(root, "NextMarker") or None,
    )
