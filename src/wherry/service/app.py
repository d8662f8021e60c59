"""The application, and serving it.

app = create_app(Settings())
serve(Settings(port=8100))
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, Depends, FastAPI, Request, Response

from wherry.apps.app import App
from wherry.apps.opened import Backgrounds, Opened
from wherry.errors import Usage
from wherry.routing.book import Book
from wherry.service import core
from wherry.service.access import OPEN, OPERATES, paths_of, require_rules
from wherry.service.around import Sized, Timed, Watched
from wherry.service.failing import answer_in_words
from wherry.service.keys import Caller, Keys
from wherry.service.limits import Limits
from wherry.service.logs import logger
from wherry.service.metrics import Meters
from wherry.service.readers import Readers
from wherry.service.settings import Settings
from wherry.service.warming import Warming

CORE = "/api/v1"
_WAITING = 2_048
plain = APIRouter(tags=["state"])


class Service:
    """What the endpoints share. `request.app.state.service` is one."""

    def __init__(self, settings: Settings, apps: Sequence[App], log: Any) -> None:
        self.settings, self.log = settings, log
        self.keys, self.book = Keys(), Book()
        self.readers, self.meters = Readers(), Meters()
        self.limits = Limits(settings.per_minute, settings.burst, settings.at_a_time)
        self.warming = Warming(self.keys, self.readers, log)
        self.opened = Opened()
        self.backgrounds = Backgrounds(self.opened, list(apps), log)
        self.meters.routes.set_function(lambda: len(self.readers))

    def close(self) -> None:
        """Close everything that is open; requests under way have ended by then."""
        self.backgrounds.stop()
        self.warming.stop()
        self.opened.close()
        self.readers.close()
        self.book.close()
        self.keys.close()


def create_app(settings: Settings | None = None, apps: Sequence[App] = (), log: Any = None) -> FastAPI:
    """Return the application. apps: each is mounted under /api/<its name>.

    Raises Usage when an endpoint does not say who may call it.
    """
    settings = settings or Settings()
    service = Service(settings, apps, log or logger())
    app = FastAPI(
        title="Wherry",
        description="RAG collections behind routes: search, answers with citations, and the apps on top.",
        lifespan=_lifespan,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.service = service
    app.include_router(plain)
    app.include_router(core.router, prefix=CORE)
    for one in apps:
        if (router := one.load("router")) is not None:
            app.include_router(router, prefix=f"/api/{one.name}")
    require_rules(app)
    answer_in_words(app)
    # The last one added is the outermost.
    larger = {f"/api/{one.name}/": one.body_limit_bytes for one in apps}
    app.add_middleware(Sized, limit_bytes=settings.body_limit_bytes, larger=larger)
    app.add_middleware(Timed, limit_s=settings.time_s)
    app.add_middleware(Watched, log=service.log, meters=service.meters, paths=paths_of(app))
    return app


def serve(settings: Settings, apps: Sequence[App] = (), began: Callable[[str], None] | None = None) -> None:
    """Serve until the process is told to stop. began: told the URL once the port is bound. Raises Usage."""
    import uvicorn

    app = create_app(settings, apps)
    with _bound(settings) as bound:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=settings.connections,
            timeout_graceful_shutdown=settings.grace_s,
        )
        if began is not None:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            began(f"http://{host}:{bound.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[bound])


@plain.get("/healthz", dependencies=[Depends(OPEN)])
async def healthz() -> dict[str, bool]:
    """Tell that the process answers."""
    return {"ok": True}


@plain.get("/readyz", dependencies=[Depends(OPEN)])
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """Tell whether everything is open: 200 when it is, 503 while the warm-up goes on."""
    warming = request.app.state.service.warming
    if not warming.ready:
        response.status_code = 503
    return warming.to_dict()


@plain.get("/metrics", response_class=Response)
def metrics(request: Request, caller: Annotated[Caller, Depends(OPERATES)]) -> Response:
    """Return the numbers of this process for Prometheus; for operators."""
    return Response(request.app.state.service.meters.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    current_default_thread_limiter().total_tokens = service.settings.threads
    service.warming.start()
    service.backgrounds.start()
    try:
        yield
    finally:
        service.close()
        service.log.info("stopped")


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
        # From here on callers wait to be served, and are no longer refused.
        bound.listen(_WAITING)
    except (OSError, OverflowError) as error:
        bound.close()
        raise Usage(
            f"cannot listen: {getattr(error, 'strerror', None) or error}",
            where=f"{settings.host}:{settings.port}",
            left="nothing was started",
            next="name another --port, or 0 for a free one",
        ) from None
    return bound
