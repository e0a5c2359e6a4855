"""Webhooks: URLs that take a message."""

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import SecretUrl, Token

_SLACK = ("hooks.slack.com", "hooks.slack-gov.com")


class HttpWebhook(Block):
    """A URL that takes messages by POST. Who knows it can post, so it is a secret.

    Source: Slack documentation, "Sending messages using incoming webhooks".
    """

    url: SecretUrl = Field(
        description="The URL, with the key that is in it.",
        examples=["https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"],
    )
    style: Literal["json", "slack"] = Field(
        default="json",
        description="What is sent: JSON as it is given, or Slack's form (Mattermost and others take it too).",
        examples=["slack"],
    )
    headers: dict[str, Token] = Field(
        default_factory=dict,
        description="Headers of each request, such as a key of its own.",
        examples=[{"X-Api-Key": "key-EXAMPLE"}],
    )

    @model_validator(mode="after")
    def _as_slack_has_it(self) -> Self:
        parts = urlsplit(self.url.get_secret_value())
        if parts.hostname in _SLACK and not (
            parts.scheme == "https"
            and re.fullmatch(r"/(services/T\w+/B\w+/\w+|(workflows|triggers)/\w+/\w+/\w+(/\w+)?)", parts.path)
        ):
            raise PydanticCustomError(
                "slack", "url is not a webhook of Slack: those are https://hooks.slack.com/services/T…/B…/…"
            )
        if any(not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) for name in self.headers):
            raise PydanticCustomError("header", "headers has a name that is none: give letters, digits and '-'")
        return self
