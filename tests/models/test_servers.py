"""The servers for tests refuse what the providers refuse, and have their traps.

Each test imports the client it drives: together they take seconds, which every process that collects would wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.models.kit import CANARY
from wherry.testing.anthropic_server import AnthropicServer
from wherry.testing.bedrock_server import BedrockServer
from wherry.testing.gemini_server import GeminiServer
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer


def test_openai_has_limits() -> None:
    import openai

    with OpenAIServer() as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", max_retries=0)

        def embed(texts: list[str], model: str = "text-embedding-3-small") -> Callable[[], object]:
            return lambda: client.embeddings.create(model=model, input=texts)

        for act in (
            embed([]),
            embed(["혈압"] * 2049),
            embed([""]),
            embed(["혈당 " * 9000]),
            embed(["말 " * 8000] * 40),
        ):
            with pytest.raises(openai.BadRequestError):
                act()
        with pytest.raises(openai.NotFoundError):
            embed(["혈압"], "model-nosuch")()
        with pytest.raises(openai.NotFoundError):
            client.models.list()


def test_gemini_makes_one_vector_of_a_list_of_strings() -> None:
    from google import genai
    from google.genai import errors, types

    with GeminiServer(key=CANARY) as server:
        client = genai.Client(api_key=CANARY, http_options=types.HttpOptions(base_url=server.url))
        trap = client.models.embed_content(model="gemini-embedding-2", contents=["혈압", "혈당"])
        assert len(trap.embeddings or []) == 1
        own = [types.Content(parts=[types.Part(text=text)]) for text in ("혈압", "혈당")]
        assert len(client.models.embed_content(model="gemini-embedding-2", contents=own).embeddings or []) == 2
        many = [types.Content(parts=[types.Part(text="혈압")])] * 101
        with pytest.raises(errors.ClientError, match="100"):
            client.models.embed_content(model="gemini-embedding-2", contents=many)


def test_bedrock_knows_titan_and_signatures() -> None:
    import boto3
    from botocore.exceptions import ClientError

    with BedrockServer(key="AKIA") as server:

        def client(key: str) -> object:
            return boto3.session.Session(key, "secret").client(
                "bedrock-runtime", region_name="us-east-1", endpoint_url=server.url
            )

        def call(runtime: object, model: str = "amazon.titan-embed-text-v2:0", **body: object) -> dict[str, object]:
            answer = runtime.invoke_model(modelId=model, body=json.dumps(body))  # type: ignore[attr-defined]
            return json.loads(answer["body"].read())

        assert len(call(client("AKIA"), inputText="혈압")["embedding"]) == 1024  # type: ignore[arg-type]
        for wrong in (
            {"inputText": "혈압", "dimensions": 384},
            {"inputText": "", "dimensions": 256},
            {"inputText": "x", "y": 1},
        ):
            with pytest.raises(ClientError, match="ValidationException"):
                call(client("AKIA"), **wrong)
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call(client("AKIA"), "cohere.embed-v4:0", inputText="혈압")
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            call(client("OTHER"), inputText="혈압")


def test_ollama_cuts_in_silence_unless_it_is_told_not_to() -> None:
    import ollama

    with OllamaServer("bge-m3:latest", text_tokens=20) as server:
        client = ollama.Client(server.url)
        one, other = ("말 " * 100 + end for end in ("하나", "둘"))
        found = client.embed("bge-m3", [one, other]).embeddings
        assert found[0] == found[1]
        with pytest.raises(ollama.ResponseError, match="context length"):
            client.embed("bge-m3", [one], truncate=False)
        with pytest.raises(ollama.ResponseError, match="not found"):
            client.chat("llama9", [{"role": "user", "content": "안녕"}])


def test_anthropic_wants_a_bound_and_a_user_at_the_end() -> None:
    import anthropic

    with AnthropicServer() as server:
        client = anthropic.Anthropic(base_url=server.url, max_retries=0)
        turns = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "네,"}]
        with pytest.raises(anthropic.BadRequestError, match="user turn"):
            client.messages.create(model="claude", max_tokens=10, messages=turns)  # type: ignore[arg-type]
        with pytest.raises(anthropic.NotFoundError):
            client.models.list()
