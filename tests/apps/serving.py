"""The service over some apps, begun anew as often as a test likes."""

from __future__ import annotations

import io
from functools import cache

from fastapi import FastAPI

import wherry
from wherry.service.app import Service
from wherry.service.logs import logger


def served(app: wherry.App, settings: wherry.Settings) -> FastAPI:
    """Return the application over one app. Its routes are put together once, which takes a tenth of a second."""
    made = _assembled(app, settings)
    made.state.service = Service(settings, [app], logger(io.StringIO()))
    return made


@cache
def _assembled(app: wherry.App, settings: wherry.Settings) -> FastAPI:
    return wherry.create_app(settings, [app], logger(io.StringIO()))
