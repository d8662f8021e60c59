"""Tutor: a question bank with diagnostic tests and study help, led from paid models to local ones step by step."""

from __future__ import annotations

from wherry import App

app = App(
    name="tutor",
    about="Exam questions, diagnostic tests and study help; moved to a local model and Qdrant by measured steps.",
    commands="wherry_apps.tutor.cli:commands",
    router="wherry_apps.tutor.api:router",
    service="wherry_apps.tutor.service:open_service",
    body_limit_bytes=20_000_000,
)

__all__ = ["app"]
