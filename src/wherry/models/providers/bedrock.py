"""Amazon Bedrock: Titan Text Embeddings V2, through boto3.

Facts: one text a call, so many calls at once; 8,192 tokens or 50,000 characters a text; 1,024, 512 or 256
components; `normalize` gives unit length. Credentials and region come from where AWS's own tools take them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import numpy as np
from botocore import exceptions as aws
from botocore.config import Config

from wherry.errors import AuthFailed, BadAddress, Unsupported
from wherry.models import faults
from wherry.models.providers.transport import USUAL_TIMEOUT_S, speaking
from wherry.models.spec import EMBED_OPTIONS, ModelSpec
from wherry.models.wire import Limits, Sent, matrix
from wherry.space import Metric, Space

TITAN = "amazon.titan-embed-text-v2"
DIMENSIONS = (1024, 512, 256)
_CONCURRENCY = 16
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
# Bedrock tells these by code; the status alone (400) would make them one bad text.
_STATUS_OF = {
    "ThrottlingException": 429,
    "ModelNotReadyException": 503,
    "ModelTimeoutException": 408,
    "ModelErrorException": 500,
    "ExpiredTokenException": 403,
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
    "ResourceNotFoundException": 404,
}


class TitanEmbedder:
    """Sends one text per InvokeModel call."""

    limits = Limits(items=1, tokens=None, text_tokens=8192, concurrency=_CONCURRENCY)

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self._where = spec, str(spec)
        self._timeout_s = spec.seconds("timeout") or USUAL_TIMEOUT_S
        self._dimension = spec.whole("dim") or DIMENSIONS[0]
        self._normalise = spec.choice("normalise", ("true", "false")) == "true"
        # A session of its own: the shared one keeps the credentials it found first.
        self._session = boto3.session.Session()
        self._client = self._connected()

    def space(self) -> Space:
        """Return the card of its vectors."""
        return Space(
            dimension=self._dimension,
            metric=Metric.COSINE,
            provider="bedrock",
            model=self.spec.model,
            normalised=self._normalise,
        )

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed one text; questions are embedded as documents are."""
        vectors, tokens = zip(*(self._one(text) for text in texts), strict=True)
        return Sent(np.concatenate(vectors), sum(tokens))

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _one(self, text: str) -> tuple[np.ndarray, int]:
        body = {"inputText": text, "dimensions": self._dimension, "normalize": self._normalise}
        with self._asking(text):
            answer = self._client.invoke_model(
                modelId=self.spec.model,
                body=json.dumps(body),
                contentType="application/json",
                accept="application/json",
            )
            found = json.loads(answer["body"].read())
            return matrix([found["embedding"]], self._where), int(found["inputTextTokenCount"])

    def _connected(self) -> Any:
        wishes = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=min(10.0, self._timeout_s),
            read_timeout=self._timeout_s,
            max_pool_connections=self.spec.whole("concurrency") or _CONCURRENCY,
        )
        try:
            return self._session.client(
                "bedrock-runtime",
                region_name=self.spec.text("region") or os.environ.get("AWS_REGION"),
                endpoint_url=self.spec.text("base_url"),
                config=wishes,
            )
        except aws.NoRegionError:
            raise BadAddress(f"no AWS region for {self._where}", next="set AWS_REGION, or write ?region=") from None
        except (aws.BotoCoreError, ValueError) as error:
            raise BadAddress(f"{self._where} cannot be opened ({type(error).__name__})") from None

    def _secrets(self) -> list[str]:
        found = self._session.get_credentials()
        return [secret for secret in (found.access_key, found.secret_key, found.token) if secret] if found else []

    @contextmanager
    def _asking(self, text: str) -> Iterator[None]:
        with speaking(self._where, self._timeout_s):
            try:
                yield
            except aws.ClientError as error:
                raise _refused(error, text, self._where, self._secrets()) from None
            except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError):
                raise AuthFailed("AWS finds no credentials", where=self._where, next=f"set {_KEYS}") from None
            except (aws.ReadTimeoutError, aws.ConnectTimeoutError):
                raise faults.timed_out(self._timeout_s, self._where) from None
            except (aws.HTTPClientError, aws.IncompleteReadError, aws.ResponseStreamingError) as error:
                raise faults.unreachable(error, self._where) from None


def open_embedder(spec: ModelSpec) -> TitanEmbedder:
    """Open `bedrock:amazon.titan-embed-text-v2:0`. Raises BadAddress or Unsupported for another model."""
    spec.require(EMBED_OPTIONS | {"base_url", "region", "normalise"})
    if TITAN not in spec.model:
        raise Unsupported(f"{spec}: of Bedrock's embedding models only Titan V2 is known", next=f"use {TITAN}:0")
    if spec.whole("dim") not in (None, *DIMENSIONS):
        raise BadAddress(f"{spec}: Titan V2 makes 1024, 512 or 256 components", next="choose one of these")
    return TitanEmbedder(spec)


def _refused(error: aws.ClientError, text: str, where: str, secrets: list[str]) -> Exception:
    told, answer = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code = str(told.get("Code", ""))
    return faults.refused(
        _STATUS_OF.get(code, int(answer.get("HTTPStatusCode", 500))),
        str(told.get("Message", "")),
        where=where,
        code=code if not code.isdigit() else "",
        retry_after_s=faults.retry_after(answer.get("HTTPHeaders", {})),
        secrets=secrets,
        texts=[text],
        key_name=_KEYS,
    )
