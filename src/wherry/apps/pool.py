"""How many connections an app holds: what SQLAlchemy's pool is told, from the environment."""

from __future__ import annotations

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from wherry.errors import Usage

VARIABLES = "DB_POOL_SIZE, DB_MAX_OVERFLOW and DB_POOL_TIMEOUT"


class PoolSettings(BaseSettings):
    """The pool of one process, from variables that begin with DB_.

    pool_size: connections kept. max_overflow: further ones when those are in use. pool_timeout: seconds to wait for
    one. pool_recycle: seconds after which a connection is made anew. echo: every statement goes to the log.
    """

    model_config = SettingsConfigDict(env_prefix="DB_", extra="ignore")
    pool_size: int = Field(5, ge=1)
    max_overflow: int = Field(10, ge=0)
    pool_timeout: float = Field(30.0, gt=0)
    pool_recycle: int = Field(3600, ge=1)
    echo: bool = False


def pool_settings() -> PoolSettings:
    """Return the settings of the environment. Raises Usage, naming each variable that is no fit value."""
    try:
        return PoolSettings()
    except ValidationError as error:
        wrong = "; ".join(f"DB_{one['loc'][0]}: {one['msg']}".upper().split(":")[0] for one in error.errors())
        raise Usage(f"not a fit value: {wrong}", where="environment", next="unset it, or give a number") from None
