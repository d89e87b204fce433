"""The pages of a validation: Great Expectations' own, one for each table, and a first page of ours.

Its pages take their styles and scripts from the network, and are bare text without it; so what they would load is taken
out, and a stylesheet of a few lines is put in. Nothing in them needs a script.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.errors import FolderNotOurs
from loaders.rendering import counted
from loaders.validation.explain import query_path, remedies
from loaders.validation.suites import Result

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext

# A folder of pages is emptied before new ones are written, so it must be known to be one.
_MARK = ".loaders-data-docs"

_FROM_THE_NETWORK = re.compile(
    r"""
    <script\b[^>]*\bsrc="https?://[^>]*>\s*</script>
    | <(?:link|img)\b[^>]*\b(?:href|src)="https?://[^>]*>
    | <footer>.*?</footer>
    | background:\s*url\('https?://[^']*'\)[^;]*;
    """,
    re.VERBOSE | re.DOTALL,
)

_STYLE = """
body { font: 15px sans-serif; margin: 2em; max-width: 80em }
td, th { border-top: 1px solid #ccc; padding: .4em 1.5em .4em 0; text-align: left; vertical-align: top }
table { border-collapse: collapse }
code, pre { white-space: pre-wrap; word-break: break-word }
b { color: #b00 }
h1, h2, h3, h4, h5, h6 { font-size: 1.2em; margin: 1em 0 .4em }
ol.breadcrumb, nav ul, .list-group { list-style: none; padding: 0 }
ol.breadcrumb li { display: inline; padding-right: 1em }
nav, .navbar { height: auto !important }
.row { display: flex; gap: 2em }
.row > [class*="col-2"], .row > .col-md-2, .row > .col-lg-2 { flex: 0 0 14em }
.row > .col-md-10, .row > .col-lg-10, .row > .col-12 { flex: 1 1 auto; min-width: 0 }
.row > .col-md-10 .row { display: block }
.badge { border: 1px solid #aaa; border-radius: .3em; padding: 0 .3em }
.text-success { color: #080; font-style: normal }
.text-danger, .text-warning { color: #b00; font-style: normal }
.text-success.fas::before { content: "passed" }
.text-danger.fas::before { content: "failed" }
.text-warning.fas::before { content: "not asked" }
span.h6 ~ i.fas::before { content: none }
[id*="-collapse-item-2-"], [id*="-collapse-item-3-"] { display: none }
.sticky, .sticky-top { position: static }
button, .card:has(.btn-group), .modal, [data-toggle="collapse"] { display: none }
"""


def require_ours(folder: Path, kept: Sequence[Path] = ()) -> None:
    """Raises `FolderNotOurs` if the folder holds something else than pages of an earlier validation.

    `kept` are paths that must not lie in it, whatever marks it has.
    """
    if any(path.resolve().is_relative_to(folder.resolve()) for path in kept):
        raise FolderNotOurs(folder)
    if folder.exists() and not (folder / _MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotOurs(folder)


def write(context: EphemeralDataContext, folder: Path) -> None:
    """Writes Great Expectations' pages of what the context was asked, in place of those of the last time."""
    folder.mkdir(parents=True, exist_ok=True)
    # The mark comes first and stays, so that a run that is killed here leaves a folder that is known as ours.
    (folder / _MARK).touch()
    for old in folder.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif old.name != _MARK:
            old.unlink()
    site: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }
    context.add_data_docs_site("pages", site)
    context.build_data_docs(["pages"])
    for page in folder.rglob("*.html"):
        text = _FROM_THE_NETWORK.sub("", page.read_text(encoding="utf-8"))
        page.write_text(text.replace("</head>", f"<style>{_STYLE}</style></head>", 1), encoding="utf-8")


def write_index(folder: Path, job_id: str, scope: str, results: Sequence[Result]) -> None:
    """Puts a plain first page in the place of Great Expectations' own, which is made by scripts.

    It begins with whether all passed; what did not comes first, with its rows, their query, and what can be done.
    `scope` says in a few words of what was asked.
    """
    failures = [one for one in results if one.status != "pass"]
    rows = []
    for table in dict.fromkeys(result.table for result in results):
        of_table = [result for result in results if result.table == table]
        # A table none of whose expectations could be asked has no page.
        pages = sorted(folder.glob(f"validations/**/*-{table}.html"))
        name = f'<a href="{escape(pages[0].relative_to(folder).as_posix())}">{table}</a>' if pages else table
        passed = sum(one.status == "pass" for one in of_table)
        text = f"{passed} of {len(of_table)} passed"
        text = text if passed == len(of_table) else f"<b>{text}</b>"
        before = sum(one.asked_of == "nothing" for one in of_table)
        earlier = f", {before} of them before, and nothing changed since" if before else ""
        changed = sum(one.asked_of == "changes" for one in of_table)
        earlier += f", {changed} asked of what changed" if changed else ""
        rows.append(f"<tr><td>{name}</td><td>{text}{earlier}</td></tr>")
    heading = (
        f"{len(failures)} of {len(results)} expectations did not pass"
        if failures
        else f"All {len(results)} expectations passed"
    )
    (folder / "index.html").write_text(
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{heading}</title>
<style>{_STYLE}</style>
<h1>{heading}</h1>
<p>Validation {escape(job_id)}: {escape(scope)}. Each table's page says what was asked and how many unexpected rows were
found.</p>
{"".join(_failure(one, folder) for one in failures)}
{"".join(f"<p>{escape(one[:1].upper() + one[1:])}</p>" for one in remedies(failures))}
<table>
{"".join(rows)}
</table>
</html>
""",
        encoding="utf-8",
    )


def _failure(one: Result, folder: Path) -> str:
    query = query_path(folder, one).relative_to(folder).as_posix()
    count = "could not be asked" if one.unexpected_rows is None else counted(one.unexpected_rows, "row")
    about = f", {escape(one.about)}" if one.about else ""
    return (
        f"<p><b>{one.status}</b> {one.table} {one.expectation}: {count}{about} "
        f'(<a href="{escape(query)}">query</a>)<br>expected: {escape(one.description)}'
        f"<br>{'error' if one.status == 'error' else 'first'}: <code>{escape(one.detail or '')}</code></p>"
    )
