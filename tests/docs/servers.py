"""What a page of the documents needs around it: servers on the loopback address, and the environment to find them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from wherry.testing.llamacloud_server import LlamaCloudServer
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer

Environment = dict[str, str]

GUIDES = {
    "혈당": ("공복혈당은 여덟 시간 금식한 뒤 아침에 잽니다.", "식후혈당은 두 시간 뒤에 잽니다."),
    "혈압": ("혈압은 앉아서 5분 쉰 다음 잽니다.", "아침과 저녁에 두 번씩 재어 적어 둡니다."),
    "준비": ("검진 전날 밤 아홉 시부터 금식합니다.", "먹던 약은 의사와 상의합니다."),
}


@contextmanager
def llamacloud() -> Iterator[Environment]:
    """Run a LlamaCloud with the pipeline Dr.Welno."""
    with LlamaCloudServer(api_key="llx-of-the-documents") as server:
        pipeline = server.pipeline("Dr.Welno", dimension=64)
        for name, texts in GUIDES.items():
            pipeline.add(name, texts)
        yield {"LLAMA_CLOUD_API_KEY": server.api_key, "LLAMA_CLOUD_BASE_URL": server.url}


@contextmanager
def chat_models() -> Iterator[Environment]:
    """Run a model of OpenAI's and one of Ollama's."""
    with OpenAIServer(key="sk-of-the-documents") as old, OllamaServer("llama3.1:8b") as new:
        yield {
            "OPENAI_API_KEY": "sk-of-the-documents",
            "OPENAI_BASE_URL": f"{old.url}/v1",
            "OLLAMA_HOST": new.url,
        }


# Page -> what runs while its blocks do.
_AROUND: dict[str, Callable[[], AbstractContextManager[Environment]]] = {
    "leave-a-cloud-index.md": llamacloud,
    "leave-the-cloud.md": llamacloud,
    "compare.md": chat_models,
}


def around(page: Path) -> AbstractContextManager[Environment]:
    """Return what runs while the blocks of a page do; it gives the variables they need."""
    made = _AROUND.get(page.name)
    return nullcontext({}) if made is None else made()
