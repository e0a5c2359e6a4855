"""Databases that SQLAlchemy speaks to."""

from difflib import get_close_matches
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Host, Password, Word

_DIALECTS = (
    "clickhouse",
    "duckdb",
    "mariadb",
    "mssql",
    "mysql",
    "oracle",
    "postgresql",
    "redshift",
    "snowflake",
    "sqlite",
    "trino",
)
_WORDS = ("password", "passwd", "pwd", "secret", "token", "odbc_connect")


class DatabaseCredentials(Block):
    """Where a database is and who logs in. Source: SQLAlchemy documentation, "Engine Configuration: Database URLs"."""

    drivername: str = Field(
        description="Dialect, and driver if it is not the default one.",
        examples=["postgresql+psycopg"],
        pattern=r"^[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)?$",
    )
    username: str | None = Field(default=None, description="User name.", examples=["reader"], min_length=1)
    password: Password | None = Field(default=None, description="Password of the user.", examples=["seven wet hens"])
    host: Host | None = Field(default=None, description="Host name or address.", examples=["db.example.org"])
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port; the dialect's own if left out.", examples=[5432]
    )
    database: Word | None = Field(
        default=None, description="Name of the database, or path of a file.", examples=["dwh"]
    )
    rotates_with: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The other login role of the same owner, which takes turns with this one (PostgreSQL).",
        examples=["reader_b"],
    )
    query: dict[str, str] = Field(
        default_factory=dict, description="Options of the driver; no secrets.", examples=[{"sslmode": "verify-full"}]
    )

    @field_validator("drivername")
    @classmethod
    def _is_a_dialect(cls, value: str) -> str:
        dialect = value.partition("+")[0]
        near = get_close_matches(dialect, _DIALECTS, 1, 0.75)
        if near and near[0] != dialect:  # one that is like none of them is a dialect that we do not know
            # In capitals, since a text that holds the value itself is not shown.
            raise PydanticCustomError(
                "dialect", "is no dialect: did you mean {near}, in lower case?", {"near": near[0].upper()}
            )
        return value

    @field_validator("query")
    @classmethod
    def _holds_no_secret(cls, value: dict[str, str]) -> dict[str, str]:
        if any(word in key.lower() for key in value for word in _WORDS):
            raise PydanticCustomError("query", "holds a secret, which would be shown here: put it into password")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password and not self.username:
            raise PydanticCustomError("half", "password goes with username")
        if self.rotates_with and (not self.username or self.rotates_with == self.username):
            raise PydanticCustomError("pair", "rotates_with is another role than username, and goes with it")
        return self
