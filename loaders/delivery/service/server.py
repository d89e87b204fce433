"""The server: uvicorn, until a signal ends it. Requests at work are answered first."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from loaders.delivery.published import Published
from loaders.delivery.service.app import create
from loaders.settings import Settings

log = logging.getLogger("loaders.serve")

#: Seconds that requests at work have when the server is told to end.
GRACE_SECONDS = 20


def serve(settings: Settings, path: Path, *, host: str, port: int, origins: Sequence[str] = ()) -> None:
    """Serves until SIGTERM or SIGINT. Raises `PublishedMissing`, `PublishedUnreadable` if there is nothing to serve."""
    with Published.open(path):
        pass
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    app = create(settings, path, origins)
    _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
        )
    ).run()


class _Server(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers if self.started else []:
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
