"""An Amazon Bedrock server for tests: InvokeModel of Titan Text Embeddings V2."""

from __future__ import annotations

import re
from typing import Any

from wherry.testing.model_server import Asked, ModelServer, Refusal

DIMENSIONS = (1024, 512, 256)
_PATH = re.compile(r"/model/(?P<model>.+)/invoke")
_CODES = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException",
          408: "ModelTimeoutException", 429: "ThrottlingException", 500: "InternalServerException",
          503: "ServiceUnavailableException"}  # fmt: skip


class BedrockServer(ModelServer):
    """Speaks the REST interface of Bedrock's runtime. key: the access key id it demands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"dimension": 1024, **settings})

    def answer(self, asked: Asked) -> Any:
        """Answer one request. Raises Refusal."""
        signed = asked.headers.get("authorization", "")
        if not signed.startswith("AWS4-HMAC-SHA256 ") or (self.key and f"Credential={self.key}/" not in signed):
            raise Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        match = _PATH.fullmatch(asked.path)
        if match is None or "titan-embed-text-v2" not in match["model"]:
            raise Refusal(404, "ResourceNotFoundException", "The model is not there.")
        return self._embedded(asked.body)

    def refusal(self, refused: Refusal) -> tuple[dict[str, str], Any]:
        """Return an error as AWS writes it: its code is in a header."""
        known = re.fullmatch(r"\w+Exception", refused.code)
        code = refused.code if known else _CODES.get(refused.status, "InternalServerException")
        return {"x-amzn-errortype": code, "x-amzn-requestid": "test"}, {"message": refused.words}

    def _embedded(self, body: dict[str, Any]) -> Any:
        unknown = set(body) - {"inputText", "dimensions", "normalize", "embeddingTypes"}
        if unknown or body.get("dimensions", 1024) not in DIMENSIONS:
            raise Refusal(400, "ValidationException", "Malformed input request, please reformat your input.")
        text = body["inputText"]
        unit = body.get("normalize", True)
        row = self.vectors([text], body.get("dimensions", 1024))[:1]
        values = [value if unit else 3 * value for value in row[0]] if row else []
        return {"embedding": values, "embeddingsByType": {"float": values}, "inputTextTokenCount": self.tokens(text)}
