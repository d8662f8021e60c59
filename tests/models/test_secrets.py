"""No key and no text ever shows: in a message, a traceback, a repr or a log."""

from __future__ import annotations

import logging
import traceback

import pytest

from tests.models.kit import AWS_ID, CANARY, CHATS, EMBEDDERS, PROVIDERS, Provider, patience
from wherry.errors import WherryError
from wherry.models.base import Message
from wherry.testing.model_server import Fault

SECRET_TEXT = "환자 홍길동 주민번호 900101-1234567 공복 혈당 182"
KEYS_ECHO, TEXT_ECHO = f"key {CANARY} refused", f"cannot read {SECRET_TEXT}"
FAULTS = [Fault(None), *(Fault(status, words=KEYS_ECHO) for status in (401, 404, 429))]
FAULTS += [Fault(status, words=TEXT_ECHO) for status in (400, 500)]


def shown(error: BaseException, *others: object) -> str:
    """Return everything a user, a log or a tracker would see of an error."""
    trace = "".join(traceback.format_exception(error))
    told = error.to_dict() if isinstance(error, WherryError) else ""
    return f"{error} {error!r} {told} {trace} {others} " + " ".join(str(other) for other in others)


def require_clean(text: str) -> None:
    """Fail when a key or a piece of the text is in it."""
    for secret in (CANARY, AWS_ID, "홍길동", "900101", "\\ud64d"):
        assert secret not in text


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.status}-{fault.words[:4]}")
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_failure_shows_neither_key_nor_text(
    provider: Provider, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asking = "/api/embed" if provider.name == "ollama" else ""
    with provider.server() as server:
        if provider in EMBEDDERS:
            embedder = provider.open_embedder(server, "&probe=quick", patience=patience())
            embedder.probe()
            server.fail(Fault(fault.status, words=fault.words, path=asking, times=99))
            for result in embedder.embed_each([SECRET_TEXT]):
                assert isinstance(result, WherryError)
                require_clean(shown(result, embedder, embedder.spec))
            with pytest.raises(WherryError) as caught:
                embedder.embed_query(SECRET_TEXT)
            require_clean(shown(caught.value))
            embedder.close()
    with provider.server() as server:
        if provider in CHATS:
            server.fail(Fault(fault.status, words=fault.words, times=99))
            chat = provider.open_chat(server, patience=patience())
            with pytest.raises(WherryError) as caught:
                chat.reply([Message("user", SECRET_TEXT)])
            require_clean(shown(caught.value, chat, chat.spec))
            # The provider's words are there when they give nothing away.
            assert ("refused" in str(caught.value)) or fault.words != KEYS_ECHO or fault.status in (None, 404)
            chat.close()
    require_clean(caplog.text)
