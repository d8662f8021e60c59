"""Wherry: move a RAG collection between vector stores, and prove that nothing was lost.

    import wherry

    plan = wherry.plan("export.json", "pgvector:#guides")
    result = wherry.sync("export.json", "pgvector:#guides")
    proof = wherry.verify("export.json", "pgvector:#guides")

The names below are the whole public interface; everything else may move.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherry.address import Address
    from wherry.answering.ask import ask, ask_stream
    from wherry.answering.ask_results import Answer
    from wherry.answering.citations import Checked, Citation
    from wherry.answering.evaluation import Evaluation, evaluate
    from wherry.answering.hits import Hit, Hits
    from wherry.answering.passages import Passage
    from wherry.answering.prompt import messages_of
    from wherry.answering.reorder import aged, days_since
    from wherry.answering.search import Searcher, search
    from wherry.answering.tune import Tuning, tune
    from wherry.apps.app import App
    from wherry.apps.database import AppDatabase
    from wherry.apps.events import events
    from wherry.apps.printing import put_result, tell
    from wherry.comparing.act import compare
    from wherry.comparing.chat import compare_chat
    from wherry.comparing.chat_results import ChatComparison
    from wherry.comparing.results import Comparison
    from wherry.errors import (
        BadAddress,
        BadAnswer,
        BadRecord,
        Busy,
        Conflict,
        Different,
        Integrity,
        Interrupted,
        MissingExtra,
        NoSuchCollection,
        NotFound,
        NotVerified,
        Refused,
        SpaceMismatch,
        StoreError,
        TimedOut,
        UnknownModel,
        Unreachable,
        Usage,
        WherryError,
    )
    from wherry.fitting import Fit, fit
    from wherry.indexing.act import index
    from wherry.indexing.base import Chunk, Chunker, Document, DocumentSource, Listed, Part, Stamp
    from wherry.indexing.chunking.pieces import text_of
    from wherry.indexing.chunking.specs import open_chunker
    from wherry.indexing.config import named_index
    from wherry.indexing.public import (
        index_plan,
        index_prune,
        index_rebuild,
        index_repair,
        index_retry,
        index_rollback,
        index_status,
        index_verify,
    )
    from wherry.indexing.results import IndexResult
    from wherry.indexing.sources.formats import read_document
    from wherry.indexing.sources.paths import open_source_paths
    from wherry.indexing.sources.sql import SqlSource
    from wherry.indexing.sources.tables import Columns
    from wherry.indexing.watching import Worker, WorkerState
    from wherry.models.base import Chat, Embedder, Message, Reply
    from wherry.models.calls import Patience
    from wherry.models.registry import open_chat, open_embedder
    from wherry.models.structured import structured
    from wherry.moving.plan import plan
    from wherry.moving.putting import put
    from wherry.moving.results import Difference, Level, Loss, Plan, SyncResult, Verification
    from wherry.moving.sync import sync
    from wherry.moving.verify import verify
    from wherry.record import Record, Reject, to_records
    from wherry.routing.book import Route
    from wherry.routing.dual import follow, replay, shadow, writer
    from wherry.routing.migration import Migration, migrate
    from wherry.routing.naming import set_route
    from wherry.routing.reader import route
    from wherry.routing.switching import Switched, rollback, switch
    from wherry.routing.watch import Watched, watch
    from wherry.service.access import OPEN, OPERATES, READS, WRITES
    from wherry.service.app import create_app
    from wherry.service.keys import Caller, Keys
    from wherry.service.settings import Settings
    from wherry.service.sockets import open_socket, send_error, socket_messages
    from wherry.space import Metric, Space
    from wherry.stores.base import Index
    from wherry.stores.pgvector.models import from_model
    from wherry.stores.registry import open_source, open_target

# Imported when first used: `wherry --help` must not wait for Arrow.
_HOMES = {
    "wherry.address": ("Address",),
    "wherry.answering.ask": ("ask", "ask_stream"),
    "wherry.answering.ask_results": ("Answer",),
    "wherry.answering.citations": ("Checked", "Citation"),
    "wherry.answering.evaluation": ("Evaluation", "evaluate"),
    "wherry.answering.hits": ("Hit", "Hits"),
    "wherry.answering.passages": ("Passage",),
    "wherry.answering.prompt": ("messages_of",),
    "wherry.answering.reorder": ("aged", "days_since"),
    "wherry.answering.search": ("Searcher", "search"),
    "wherry.answering.tune": ("Tuning", "tune"),
    "wherry.apps.app": ("App",),
    "wherry.apps.database": ("AppDatabase",),
    "wherry.apps.events": ("events",),
    "wherry.apps.printing": ("put_result", "tell"),
    "wherry.comparing.act": ("compare",),
    "wherry.comparing.chat": ("compare_chat",),
    "wherry.comparing.chat_results": ("ChatComparison",),
    "wherry.comparing.results": ("Comparison",),
    "wherry.errors": (
        "WherryError",
        "Different",
        "Usage",
        "Refused",
        "StoreError",
        "BadRecord",
        "Integrity",
        "Busy",
        "Interrupted",
        "BadAddress",
        "Conflict",
        "NotFound",
        "NotVerified",
        "UnknownModel",
        "Unreachable",
        "TimedOut",
        "SpaceMismatch",
        "NoSuchCollection",
        "MissingExtra",
        "BadAnswer",
    ),
    "wherry.fitting": ("Fit", "fit"),
    "wherry.models.base": ("Chat", "Embedder", "Message", "Reply"),
    "wherry.models.calls": ("Patience",),
    "wherry.models.registry": ("open_chat", "open_embedder"),
    "wherry.models.structured": ("structured",),
    "wherry.indexing.act": ("index",),
    "wherry.indexing.base": ("Chunk", "Chunker", "Document", "DocumentSource", "Listed", "Part", "Stamp"),
    "wherry.indexing.chunking.pieces": ("text_of",),
    "wherry.indexing.chunking.specs": ("open_chunker",),
    "wherry.indexing.config": ("named_index",),
    "wherry.indexing.public": (
        "index_plan",
        "index_status",
        "index_verify",
        "index_repair",
        "index_retry",
        "index_rebuild",
        "index_rollback",
        "index_prune",
    ),
    "wherry.indexing.results": ("IndexResult",),
    "wherry.indexing.sources.formats": ("read_document",),
    "wherry.indexing.sources.paths": ("open_source_paths",),
    "wherry.indexing.sources.sql": ("SqlSource",),
    "wherry.indexing.sources.tables": ("Columns",),
    "wherry.indexing.watching": ("Worker", "WorkerState"),
    "wherry.moving.plan": ("plan",),
    "wherry.moving.putting": ("put",),
    "wherry.moving.results": ("Difference", "Level", "Loss", "Plan", "SyncResult", "Verification"),
    "wherry.moving.sync": ("sync",),
    "wherry.moving.verify": ("verify",),
    "wherry.record": ("Record", "Reject", "to_records"),
    "wherry.routing.book": ("Route",),
    "wherry.routing.dual": ("follow", "replay", "shadow", "writer"),
    "wherry.routing.migration": ("Migration", "migrate"),
    "wherry.routing.naming": ("set_route",),
    "wherry.routing.reader": ("route",),
    "wherry.routing.switching": ("Switched", "rollback", "switch"),
    "wherry.routing.watch": ("Watched", "watch"),
    "wherry.service.access": ("OPEN", "OPERATES", "READS", "WRITES"),
    "wherry.service.app": ("create_app",),
    "wherry.service.keys": ("Caller", "Keys"),
    "wherry.service.settings": ("Settings",),
    "wherry.service.sockets": ("open_socket", "send_error", "socket_messages"),
    "wherry.space": ("Metric", "Space"),
    "wherry.stores.base": ("Index",),
    "wherry.stores.pgvector.models": ("from_model",),
    "wherry.stores.registry": ("open_source", "open_target"),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped by use
    "plan",
    "sync",
    "verify",
    "put",
    "to_records",
    "compare",
    "compare_chat",
    "route",
    "set_route",
    "switch",
    "rollback",
    "writer",
    "follow",
    "shadow",
    "replay",
    "watch",
    "migrate",
    "index",
    "index_plan",
    "index_status",
    "index_verify",
    "index_repair",
    "index_retry",
    "index_rebuild",
    "index_rollback",
    "index_prune",
    "named_index",
    "open_source_paths",
    "open_chunker",
    "read_document",
    "text_of",
    "search",
    "aged",
    "days_since",
    "ask",
    "ask_stream",
    "messages_of",
    "Passage",
    "Checked",
    "tune",
    "evaluate",
    "fit",
    "open_source",
    "open_target",
    "from_model",
    "Index",
    "open_embedder",
    "open_chat",
    "structured",
    "Address",
    "Answer",
    "Chat",
    "ChatComparison",
    "Comparison",
    "Difference",
    "IndexResult",
    "Chunk",
    "Chunker",
    "Citation",
    "Document",
    "DocumentSource",
    "Columns",
    "Listed",
    "Part",
    "SqlSource",
    "Stamp",
    "Worker",
    "WorkerState",
    "Hit",
    "Hits",
    "Evaluation",
    "Fit",
    "Embedder",
    "Level",
    "Loss",
    "Message",
    "Metric",
    "Migration",
    "Patience",
    "Plan",
    "Record",
    "Reject",
    "Route",
    "Reply",
    "Searcher",
    "Space",
    "Switched",
    "SyncResult",
    "Tuning",
    "Verification",
    "Watched",
    "WherryError",
    "Different",
    "Usage",
    "Refused",
    "StoreError",
    "BadRecord",
    "Integrity",
    "Busy",
    "Interrupted",
    "BadAddress",
    "Conflict",
    "NotFound",
    "NotVerified",
    "UnknownModel",
    "Unreachable",
    "TimedOut",
    "SpaceMismatch",
    "NoSuchCollection",
    "MissingExtra",
    "BadAnswer",
    "App",
    "AppDatabase",
    "put_result",
    "tell",
    "create_app",
    "Settings",
    "Keys",
    "Caller",
    "OPEN",
    "READS",
    "WRITES",
    "OPERATES",
    "events",
    "open_socket",
    "socket_messages",
    "send_error",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'wherry' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
