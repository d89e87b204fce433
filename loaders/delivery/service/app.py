"""The addresses: the page, the numbers behind it, and what a monitor asks.

Everything is read from the published file and nothing else. An answer belongs to a publication: `ETag` and
`Last-Modified` are the publication's, so who has an answer already is told so (304) until the next one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import format_datetime, parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from loaders.delivery.service import formats, models, parameters, queries
from loaders.delivery.service.cache import Answer
from loaders.delivery.service.parameters import Parameters
from loaders.delivery.service.publications import Publication, Publications, plain
from loaders.delivery.service.queries import NotAnswerable
from loaders.errors import LoadersError
from loaders.settings import Settings

_DESCRIPTION = """
Five-minute candles, open interest, and where leveraged positions would be liquidated, from the published marts. Names
are those of the marts. Times are UTC, money is USD of position notional. A level is a model's estimate.

JSON is the default; `Accept: application/vnd.apache.arrow.stream` or `application/vnd.apache.parquet` gives the same
rows for data frames, with decimals and times as such. A list comes in pages: `next`, and the header `Link`, is the next
one.
"""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    304: {"description": "You have this answer already."},
    400: {"model": models.Problem, "description": "What is asked for cannot be."},
    404: {"model": models.Problem, "description": "No such symbol, or not in this publication."},
    406: {"model": models.Problem, "description": "None of the formats that are accepted."},
    409: {"model": models.Problem, "description": "There is a newer publication: begin with the first page."},
    422: {"model": models.Problem, "description": "A parameter is wrong or unknown."},
    503: {"model": models.Problem, "description": "There is no published file."},
}


def create(settings: Settings, path: Path, origins: Sequence[str] = ()) -> FastAPI:
    """The application that answers from the published file `path`."""
    publications = Publications(settings, path)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        publications.close()

    app = FastAPI(
        title="Liquidation levels",
        version=version("loaders"),
        description=_DESCRIPTION,
        lifespan=life,
        # Both would load their programs from somewhere else.
        docs_url=None,
        redoc_url=None,
    )
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "HEAD"])
    app.state.publications = publications
    _problems(app)
    _lists(app, publications)
    _singles(app, publications)
    return app


def _problems(app: FastAPI) -> None:
    def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"detail": detail}, status, headers=headers)

    @app.exception_handler(NotAnswerable)
    async def _(_: Request, error: NotAnswerable) -> Response:
        return problem(error.status, error.detail)

    @app.exception_handler(LoadersError)
    async def _(_: Request, error: LoadersError) -> Response:
        # Which file it is, is nobody's business outside.
        return problem(503, "there is no published file to answer from: try later", {"Retry-After": "10"})

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> Response:
        said = [
            f"{'.'.join(str(part) for part in one['loc'][1:]) or 'parameters'}: "
            + (
                "no such parameter"
                if one["type"] == "extra_forbidden"
                else str(one["msg"]).removeprefix("Value error, ")
            )
            for one in error.errors()
        ]
        return problem(422, "; ".join(said))

    @app.exception_handler(HTTPException)
    async def _(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))


def _lists(app: FastAPI, publications: Publications) -> None:
    """Addresses that give rows of a table."""

    def add(address: str, row: str, build: queries.Builder, wanted: type[Parameters], summary: str) -> None:
        # The parameters' type is known when the application is made, not when this is read.
        async def endpoint(request: Request, parameters: Any) -> Response:
            return await _rows(publications, request, build, parameters)

        endpoint.__annotations__["parameters"] = Annotated[wanted, Query()]
        endpoint.__annotations__["request"] = Request
        app.add_api_route(address, endpoint, methods=["HEAD"], include_in_schema=False)
        app.add_api_route(
            address,
            endpoint,
            methods=["GET"],
            operation_id=address.removeprefix("/api/").replace("/", "_").replace("-", "_"),
            summary=summary,
            response_class=Response,
            responses={
                200: {
                    "description": "Rows.",
                    "model": models.page_of(row),
                    # The model is that of JSON, which stands first because some programs take the first.
                    "content": {formats.JSON: {}, formats.ARROW: _BINARY, formats.PARQUET: _BINARY},
                },
                **_PROBLEMS,
            },
        )

    add("/api/symbols", "Symbol", queries.symbols, Parameters, "Symbols with five-minute candles")
    add("/api/klines", "Kline", queries.klines, parameters.OfSymbol, "Five-minute candles (marts.klines_5m)")
    add(
        "/api/open-interest",
        "OpenInterest",
        queries.open_interest,
        parameters.OfSymbol,
        "Snapshots of open interest (marts.open_interest_5m)",
    )
    add(
        "/api/liquidations/levels",
        "Level",
        queries.levels,
        parameters.Levels,
        "Levels one by one, by when they were opened (marts.liquidation_levels)",
    )
    add(
        "/api/liquidations/map",
        "MapBin",
        queries.liquidation_map,
        parameters.Map,
        "What stands at the last candle, by leverage and price bin (marts.liquidation_map)",
    )
    add(
        "/api/liquidations/heatmap",
        "HeatmapCell",
        queries.heatmap,
        parameters.Heatmap,
        "What stood at the end of each step of time (marts.liquidation_heatmap)",
    )
    add(
        "/api/backtest",
        "BacktestRow",
        queries.backtest,
        parameters.Backtest,
        "How well the map foretold recorded liquidations (marts.liquidation_backtest)",
    )
    add("/api/gaps", "Gap", queries.gaps, parameters.Gaps, "Gaps, and the files that would fill them (marts.data_gaps)")
    add("/api/quality", "Check", queries.quality, parameters.Quality, "Checks (marts.quality_checks)")


def _singles(app: FastAPI, publications: Publications) -> None:
    """Addresses that give one thing."""

    @app.head("/api/status", include_in_schema=False)
    @app.get(
        "/api/status",
        operation_id="status",
        summary="The publication: when, from which job, which tables",
        responses={200: {"model": models.Status}, 304: _PROBLEMS[304], 503: _PROBLEMS[503]},
        response_class=Response,
    )
    async def status(request: Request) -> Response:
        def make(publication: Publication) -> Answer:
            with publication.cursor() as cursor:
                tables = queries.status(publication, cursor)
            about = {"publication": publication.name, "published": plain(publication.about), "tables": tables}
            return Answer(formats.write_json(about), formats.JSON, {})

        return await _answer(publications, request, formats.JSON, "status", make)

    @app.head("/health", include_in_schema=False)
    @app.get(
        "/health",
        operation_id="health",
        summary="200 if there is a publication to answer from, else 503",
        responses={200: {"model": models.Health}, 503: _PROBLEMS[503]},
        response_class=Response,
    )
    async def health() -> Response:
        def look() -> dict[str, str]:
            with publications.current() as publication:
                return {
                    "status": "ok",
                    "publication": publication.name,
                    "published_at": _iso(publication),
                }

        found = await run_in_threadpool(look)
        return Response(formats.write_json(found), media_type=formats.JSON, headers={"Cache-Control": "no-store"})

    @app.head("/", include_in_schema=False)
    @app.get(
        "/",
        operation_id="page",
        summary="The page",
        responses={
            200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "The page."},
            304: _PROBLEMS[304],
            503: _PROBLEMS[503],
        },
        response_class=Response,
    )
    async def page(request: Request) -> Response:
        return await _answer(publications, request, "text/html", "page", _page)


def _page(publication: Publication) -> Answer:
    # The drawing's library takes a second to import, which whoever asks for numbers alone need not wait for.
    from loaders.delivery.page import reading, report

    # One at a time: it takes seconds and the memory of the whole page.
    with publication.page_lock:
        kept = publication.page
        if kept is None:
            text = report.html(reading.read(publication.published))
            kept = publication.page = Answer(text.encode(), "text/html; charset=utf-8", {})
        return kept


async def _rows(publications: Publications, request: Request, build: queries.Builder, wanted: Parameters) -> Response:
    media = formats.accepted(request.headers.get("accept"))
    if media is None:
        raise NotAnswerable(406, f"one of {', '.join(formats.FORMATS)}")
    address = request.url.path

    def make(publication: Publication) -> Answer:
        if wanted.publication is not None and wanted.publication != publication.name:
            raise NotAnswerable(409, "there is a newer publication: begin with the first page")

        def following(count: int) -> str:
            asked = dict(request.query_params)
            asked |= {"offset": str(wanted.offset + count), "publication": publication.name}
            return f"{address}?{urlencode(asked)}"

        def envelope(count: int, more: bool) -> dict[str, Any]:
            return {
                "publication": publication.name,
                "published_at": _iso(publication),
                "count": count,
                "next": following(count) if more else None,
            }

        part = queries.read(publication, build, wanted, media, envelope)
        headers = {"Link": f'<{following(part.count)}>; rel="next"'} if part.more else {}
        return Answer(part.body, media, headers)

    return await _answer(publications, request, media, (address, wanted), make)


async def _answer(
    publications: Publications,
    request: Request,
    media: str,
    key: Any,
    make: Callable[[Publication], Answer],
) -> Response:
    if publications.is_current():
        # Most requests end here: nothing is opened and no thread is needed.
        with publications.current() as publication:
            headers = _headers(publication, media)
            if _has_it(request, headers):
                return Response(status_code=304, headers=headers)
            kept = publication.cache.get((key, media))
        if kept is not None:
            return Response(kept.body, media_type=kept.media, headers={**headers, **kept.headers})

    def work() -> tuple[Answer | None, dict[str, str]]:
        with publications.current() as publication:
            headers = _headers(publication, media)
            if _has_it(request, headers):
                return None, headers
            answer = publication.cache.get((key, media))
            if answer is None:
                answer = make(publication)
                publication.cache.put((key, media), answer)
            return answer, headers

    answer, headers = await run_in_threadpool(work)
    if answer is None:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type=answer.media, headers={**headers, **answer.headers})


def _headers(publication: Publication, media: str) -> dict[str, str]:
    kind = {formats.JSON: "j", formats.ARROW: "a", formats.PARQUET: "p"}.get(media, "h")
    return {
        "ETag": f'"{publication.name}-{kind}"',
        "Last-Modified": format_datetime(publication.published_at, usegmt=True),
        "Cache-Control": "no-cache",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }


def _has_it(request: Request, headers: dict[str, str]) -> bool:
    wanted = request.headers.get("if-none-match")
    if wanted is not None:
        return any(one.strip().removeprefix("W/") in (headers["ETag"], "*") for one in wanted.split(","))
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return parsedate_to_datetime(since) >= parsedate_to_datetime(headers["Last-Modified"])
    except (TypeError, ValueError):
        return False


def _iso(publication: Publication) -> str:
    return publication.published_at.isoformat().replace("+00:00", "Z")
