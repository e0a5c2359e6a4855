"""Notifications: messages to an `HttpWebhook` block, by hand or as an engine's hook of failure."""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from bondstone.blocks import HttpWebhook, InvalidSettings, ServiceUnavailable, live
from bondstone.blocks.errors import guarded
from bondstone.blocks.redact import redacted
from bondstone.integrations.https import Answer, ask, good
from bondstone.integrations.notices import notice
from bondstone.integrations.receipts import MessageReceipt

_ONE_TRY, _LEAST = 10.0, 1.0  # seconds for a try; with less none is begun, but the first
_REFUSED = (401, 403, 404, 410)  # Slack says 404 and 410 of a webhook that was removed
_PASSING = (408, 425, 429)  # and 5xx; asked again


@dataclass(frozen=True)
class Notify:
    """Post a message, without any secret that this process has loaded. At least once: an answer that was lost is asked for again."""

    webhook: str  # the name of an HttpWebhook block
    deadline: float = 30.0  # seconds for all tries together
    ttl: float | None = None

    def __post_init__(self) -> None:
        if not self.deadline > 0:
            raise InvalidSettings(f"deadline is {self.deadline} s: give a number of seconds above 0")

    @guarded
    def __call__(self, message: Any, run: Any = None, state: Any = None, /) -> MessageReceipt:
        """Post a text, or a mapping as it is; or, called by Prefect, Dagster or Airflow as a hook of failure, what failed.

        Raises `AccessDenied` or `NotFound` (the webhook was removed: save a new one), `ServiceUnavailable` at the latest after `deadline`.
        """
        plain = isinstance(message, str) or (isinstance(message, Mapping) and "task_instance" not in message)
        return _posted(self, message if plain and state is None else notice(message, run, state))


def _posted(task: Notify, message: Any, sleep: Callable[[float], None] = time.sleep) -> MessageReceipt:
    handle = live(HttpWebhook, task.webhook, ttl=task.ttl)
    end, block, tries = time.monotonic() + task.deadline, handle.get(), 0
    while True:
        tries += 1
        answer = _answer(block, message, end - time.monotonic())
        if isinstance(answer, Answer) and answer.status in _REFUSED and (fresh := handle.refresh()) != block:
            block = fresh
            continue
        if isinstance(answer, Answer) and answer.status < 500 and answer.status not in _PASSING:
            good(answer, str(block.reference), f"save a new version of {block.reference}")
            return _receipt(block, answer, tries)
        pause = _pause(answer, tries)
        if time.monotonic() + pause + _LEAST > end:
            raise _given_up(task, block, answer, tries)
        sleep(pause)
        block = handle.get()


def _answer(block: HttpWebhook, message: Any, left: float) -> Answer | ServiceUnavailable:
    headers = {name: value.get_secret_value() for name, value in block.headers.items()}
    content = redacted({"text": message} if isinstance(message, str) else message)
    try:
        return ask(
            block.url.get_secret_value(),
            str(block.reference),
            headers={"Content-Type": "application/json", **headers},
            body=json.dumps(content, default=str).encode(),
            seconds=max(0.1, round(min(left, _ONE_TRY), 1)),
        )
    except ServiceUnavailable as error:
        return error


def _given_up(task: Notify, block: HttpWebhook, last: Answer | ServiceUnavailable, tries: int) -> ServiceUnavailable:
    if isinstance(last, ServiceUnavailable):
        return last
    return ServiceUnavailable(
        f"{block.reference} did not take the message (status {last.status}, {tries} tries in {task.deadline:g} s): try again later"
    )


def _pause(answer: Answer | ServiceUnavailable, tries: int) -> float:
    """Seconds until the next try: what the server asks for, else longer each time, and never in step with others."""
    jittered: float = random.uniform(0.5, 1) * min(8.0, 0.25 * 2.0**tries)  # noqa: S311 -- no key
    return max(jittered, _asked_for(answer.headers.get("Retry-After", "")) if isinstance(answer, Answer) else 0)


def _asked_for(after: str) -> float:
    """Seconds, of a number or a date. Source: RFC 9110, "Retry-After"."""
    try:
        return float(after) if after.isdecimal() else parsedate_to_datetime(after).timestamp() - time.time()
    except ValueError:
        return 0.0


def _receipt(block: HttpWebhook, answer: Answer, tries: int) -> MessageReceipt:
    parts = urlsplit(block.url.get_secret_value())
    return MessageReceipt(
        f"{parts.scheme}://{parts.hostname}", str(block.reference), block.version or 0, answer.status, tries
    )
