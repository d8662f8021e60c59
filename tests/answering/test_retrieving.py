"""A service that embeds questions itself is searched as any collection."""

from __future__ import annotations

import pytest

import wherry
from wherry.testing.llamacloud_server import LlamaCloudServer


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-test")
    with LlamaCloudServer() as server:
        server.pipeline("guides").add("혈당", ["공복혈당은 아침에 잽니다.", "물은 하루 여섯 잔입니다."])
        yield f"llamacloud+http://127.0.0.1:{server.port}#guides?metric=cosine&rate=5000"


def test_a_question_is_answered_by_the_service(cloud: str) -> None:
    hits = wherry.search("공복혈당은 언제 재나요?", in_=cloud, k=1)
    assert hits[0].text == "공복혈당은 아침에 잽니다."
    assert hits[0].similarity is not None
    assert hits[0].metadata["file_name"] == "혈당.pdf"


def test_what_the_service_cannot_do_is_said(cloud: str) -> None:
    with pytest.raises(wherry.Usage, match="without conditions"):
        wherry.search("공복혈당", in_=cloud, mode="vector", where={"page": 1})
    with pytest.raises(wherry.Usage, match="empty"):
        wherry.search(" ", in_=cloud, mode="vector")
