"""Everything Evals takes from the environment, in one place for the command line and the service."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from wherry import Usage

USUAL_GUIDE = "docs/guides/USER_GUIDE.md"
USUAL_LIMIT = 80


class Settings(BaseSettings):
    """The settings; each field names its variable.

    guide_limit: chunks of the guide that are indexed, 0 for all. document_characters: the longest document, longer
    ones are cut at line ends. docs: further files and folders, separated by commas.
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, env_ignore_empty=True)

    vector_store: str = Field("pgvector", alias="EVALVAULT_RAG_VECTOR_STORE")
    use_hybrid: bool = Field(True, alias="EVALVAULT_RAG_USE_HYBRID")
    profile: str = Field("offline", alias="EVALVAULT_RAG_EMBEDDING_PROFILE")
    ollama_model: str = Field("qwen3-embedding:8b", alias="OLLAMA_EMBEDDING_MODEL")
    ollama_url: str | None = Field(None, alias="OLLAMA_BASE_URL")
    index: Literal["hnsw", "ivfflat", "none"] = Field("hnsw", alias="EVALVAULT_RAG_PGVECTOR_INDEX")
    lists: int = Field(100, ge=1, le=32768, alias="EVALVAULT_RAG_PGVECTOR_INDEX_LISTS")
    hnsw_m: int = Field(16, ge=2, le=100, alias="EVALVAULT_RAG_PGVECTOR_HNSW_M")
    hnsw_ef_construction: int = Field(64, ge=4, le=1000, alias="EVALVAULT_RAG_PGVECTOR_HNSW_EF_CONSTRUCTION")
    guide: str = Field(USUAL_GUIDE, alias="EVALVAULT_RAG_USER_GUIDE")
    guide_limit: int = Field(USUAL_LIMIT, ge=0, alias="EVALVAULT_RAG_USER_GUIDE_LIMIT")
    tokenizer: Literal["korean", "whitespace"] = Field("korean", alias="EVALVAULT_RAG_TOKENIZER")
    docs: str = Field("", alias="EVALVAULT_RAG_DOCS")
    index_dir: str = Field("data/rag", alias="EVALVAULT_RAG_INDEX_DIR")
    document_characters: int = Field(6000, ge=200, alias="EVALVAULT_RAG_DOCUMENT_CHARACTERS")
    llm_enabled: bool = Field(True, alias="EVALVAULT_RAG_LLM_ENABLED")
    chat: str | None = Field(None, alias="EVALVAULT_RAG_CHAT")
    ollama_chat_model: str | None = Field(None, alias="OLLAMA_CHAT_MODEL")
    check_s: float = Field(300.0, gt=0, alias="EVALVAULT_RAG_CHECK_SECONDS")
    chat_timeout_s: float = Field(60.0, gt=0, le=86400, alias="EVALVAULT_RAG_CHAT_TIMEOUT_SECONDS")
    db_backend: str = Field("sqlite", alias="DB_BACKEND")
    db_path: str = Field("data/db/evalvault.db", alias="EVALVAULT_DB_PATH")
    connection_string: str | None = Field(None, alias="POSTGRES_CONNECTION_STRING")
    postgres_host: str = Field("localhost", alias="POSTGRES_HOST")
    postgres_port: int = Field(5432, alias="POSTGRES_PORT")
    postgres_database: str = Field("evalvault", alias="POSTGRES_DATABASE")
    postgres_user: str = Field("postgres", alias="POSTGRES_USER")
    postgres_password: str = Field("", alias="POSTGRES_PASSWORD", repr=False)

    def chat_spec(self) -> str:
        """Return the model that writes answers; `offline` shows what was found."""
        if not self.llm_enabled:
            return "offline"
        if self.chat or not self.ollama_chat_model:
            return self.chat or "offline"
        url = f"?base_url={self.ollama_url}" if self.ollama_url else ""
        return f"ollama:{self.ollama_chat_model}{url}"

    @property
    def plain(self) -> bool:
        """Whether guides are cut by what stands between spaces, even where the Korean tokeniser is installed."""
        return self.tokenizer == "whitespace"

    @property
    def names_runs(self) -> bool:
        """Whether somebody said where the runs are, instead of leaving it to the usual path."""
        return bool({"db_backend", "db_path", "connection_string", "postgres_host"} & self.model_fields_set)

    def postgres_url(self) -> str:
        """Return the URL of the database of runs; its password never prints."""
        if self.connection_string:
            return self.connection_string
        secret = f":{quote(self.postgres_password, safe='')}" if self.postgres_password else ""
        place = f"{self.postgres_host}:{self.postgres_port}/{self.postgres_database}"
        return f"postgresql://{quote(self.postgres_user, safe='')}{secret}@{place}"


def load_settings() -> Settings:
    """Return the settings of the environment. Raises Usage, naming the variable, for a value that cannot be."""
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise Usage(f"{name} cannot be {str(first['input'])[:60]!r}: {first['msg']}", where=name) from None
