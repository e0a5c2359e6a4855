"""Messages to a webhook: against a server that takes them, fails, is slow, or sends elsewhere."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from bondstone.blocks import AccessDenied, AwsCredentials, InvalidSettings, NotFound, Secret, ServiceUnavailable
from bondstone.blocks.redact import redacted
from bondstone.cli.demo.hunt import hunt, hunt_bytes
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.integrations.notices import notice
from bondstone.integrations.notify import Notify, _posted
from bondstone.integrations.rotators.testing import everything
from tests.integrations.conftest import elsewhere, save
from tests.integrations.stand_in import Asked, Said, stand_in

PATH = "/services/T000/B000/senti" + "nel-of-the-hook"
KEY = "senti" + 'nel "of" the/header'.replace(" ", "-")
TOKEN = "senti" + 'nel of a flow: "p@ss/w%rd"'
SECRETS = {"path": PATH, "header": KEY, "token": TOKEN}


class Hook:
    """Answers by `said`, the last of which is repeated; keeps what was posted."""

    def __init__(self, *said: Said) -> None:
        self.said, self.asked, self.at = list(said), list[Asked](), list[float]()

    def __call__(self, asked: Asked) -> Said:
        self.asked.append(asked)
        self.at.append(time.monotonic())
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(asked.body) for asked in self.asked]


@contextmanager
def hooked(answer: Callable[[Asked], Said], **fields: Any) -> Iterator[str]:
    """`answer` serves what `http-webhook/alerts` leads to."""
    with stand_in(answer) as url:
        save("http-webhook/alerts", url=url + PATH, headers={"X-Key": KEY}, **fields)
        yield url


class TestPosting:
    """What arrives, and what is said of it."""

    @pytest.mark.parametrize("style", ["json", "slack"])
    def test_a_text(self, style: str) -> None:
        """Is what Slack and its like take; the receipt shows the host alone."""
        hook = Hook(Said())

        with hooked(hook, style=style) as url:
            receipt = Notify("alerts")("it failed")

        assert hook.bodies == [{"text": "it failed"}]
        assert (hook.asked[0].path, hook.asked[0].headers["X-Key"]) == (PATH, KEY)
        assert hook.asked[0].headers["Content-Type"] == "application/json"
        assert (receipt.block, receipt.version, receipt.status, receipt.tries) == ("http-webhook/alerts", 1, 200, 1)
        assert receipt.uri == url.rpartition(":")[0]

    def test_a_mapping(self) -> None:
        """Arrives as it is."""
        hook = Hook(Said(204))

        with hooked(hook):
            Notify("alerts")({"blocks": [{"n": 1, "ok": True, "none": None}]})

        assert hook.bodies == [{"blocks": [{"n": 1, "ok": True, "none": None}]}]

    def test_it_travels_as_a_name(self) -> None:
        """To a process that has the registry."""
        hook = Hook(Said())

        with hooked(hook):
            told = elsewhere("print(it('from afar').status)", Notify("alerts"))

        assert (told, hook.bodies) == ("200", [{"text": "from afar"}])

    @pytest.mark.parametrize("seconds", [0, -1, float("nan")])
    def test_a_deadline_that_is_none(self, seconds: float) -> None:
        """Is told before anything fails."""
        with pytest.raises(InvalidSettings, match="deadline is"):
            Notify("alerts", deadline=seconds)


class TestTrying:
    """Again, until the deadline and no longer."""

    @pytest.mark.parametrize("status", [500, 503, 408, 429])
    def test_a_failure_that_passes(self, status: int) -> None:
        """The next try is the same message."""
        hook = Hook(Said(status), Said())

        with hooked(hook):
            receipt = Notify("alerts")("it failed")

        assert hook.bodies == [{"text": "it failed"}] * 2
        assert (receipt.status, receipt.tries) == (200, 2)

    def test_a_failure_that_stays(self) -> None:
        """Is told within the deadline."""
        hook, started = Hook(Said(500)), time.monotonic()

        with (
            hooked(hook),
            pytest.raises(ServiceUnavailable, match=r"^http-webhook/alerts did not take .*status 500") as told,
        ):
            Notify("alerts", deadline=4)("it failed")

        assert time.monotonic() - started < 10
        assert 2 <= len(hook.asked) <= 8
        assert not hunt_bytes(SECRETS, everything(told.value).encode(), "error")

    def test_a_server_that_is_slow(self) -> None:
        """Is not waited for."""
        done = time.monotonic() + 6

        def slow(asked: Asked) -> Said:
            time.sleep(max(0, done - time.monotonic()))
            return Said()

        started = time.monotonic()
        with hooked(slow):
            with pytest.raises(ServiceUnavailable, match=r"http-webhook/alerts did not answer within 0\.\d s"):
                Notify("alerts", deadline=0.5)("it failed")
            waited = time.monotonic() - started

        assert waited < 4

    def test_nobody_listens(self) -> None:
        """The kind of failure is told, and the address is not."""
        save("http-webhook/alerts", url="http://127.0.0.1:9" + PATH)

        with pytest.raises(ServiceUnavailable, match=r"did not answer \(ConnectionRefusedError\)") as told:
            Notify("alerts", deadline=4)("it failed")

        assert not hunt_bytes(SECRETS, everything(told.value).encode(), "error")

    @pytest.mark.parametrize("dated", [False, True])
    def test_a_server_that_asks_to_wait(self, dated: bool) -> None:
        """Is given that time: in seconds, or until a date."""
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True) if dated else "2"
        hook, waited = Hook(Said(429, headers={"Retry-After": after}), Said()), list[float]()

        with hooked(hook):
            receipt = _posted(Notify("alerts"), "it failed", waited.append)

        assert receipt.tries == 2
        assert 1.5 <= waited[0] <= 3

    def test_a_wait_beyond_the_deadline(self) -> None:
        """Is not begun."""
        hook, started = Hook(Said(429, headers={"Retry-After": "600"})), time.monotonic()

        with hooked(hook), pytest.raises(ServiceUnavailable, match="status 429, 1 tries in 30 s"):
            Notify("alerts")("it failed")

        assert time.monotonic() - started < 20

    @pytest.mark.parametrize("after", ["soon", "-1", "nan"])
    def test_a_wait_that_is_none(self, after: str) -> None:
        """Is as if nothing was asked."""
        hook, waited = Hook(Said(429, headers={"Retry-After": after}), Said()), list[float]()

        with hooked(hook):
            _posted(Notify("alerts"), "it failed", waited.append)

        assert 0 < waited[0] <= 1

    def test_tries_are_further_and_further_apart(self) -> None:
        """And not in step with those of others."""
        hook, waited = Hook(*[Said(500)] * 8, Said()), list[float]()

        with hooked(hook):
            _posted(Notify("alerts"), "it failed", waited.append)

        assert waited[0] <= 0.5
        assert 4 <= waited[7] <= 8
        assert len(set(waited)) == 8


class TestRefused:
    """What no second try would change is not tried again."""

    @pytest.mark.parametrize(("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (404, NotFound)])
    def test_a_webhook_that_was_removed(self, status: int, kind: type[Exception]) -> None:
        """The block is named; neither the URL is shown nor what was to be posted, which may hold anything."""
        hook = Hook(Said(status))

        with hooked(hook), pytest.raises(kind, match=r"^http-webhook/alerts ") as told:
            Notify("alerts")(f"refused {TOKEN}")

        assert len(hook.asked) == 1
        assert not hunt_bytes(SECRETS, everything(told.value).encode(), "error")

    def test_a_webhook_that_was_replaced_meanwhile(self) -> None:
        """The block is read again, and the message goes to the new one."""
        new = Hook(Said())

        def replaced(asked: Asked) -> Said:
            save("http-webhook/alerts", url=other + PATH)
            return Said(404)

        with stand_in(new) as other, hooked(replaced):
            receipt = Notify("alerts")("it failed")

        assert new.bodies == [{"text": "it failed"}]
        assert (receipt.version, receipt.tries) == (2, 2)

    @pytest.mark.parametrize("status", [302, 303, 307])
    def test_a_redirect(self, status: int) -> None:
        """Is not followed: what is posted, and the key, are for one host."""
        other = Hook(Said())

        with (
            stand_in(other) as url,
            hooked(Hook(Said(status, headers={"Location": url + "/x"}))),
            pytest.raises(ServiceUnavailable, match="sends us elsewhere"),
        ):
            Notify("alerts")("it failed")

        assert other.asked == []

    def test_a_message_that_is_not_taken(self) -> None:
        """As 400 says."""
        hook = Hook(Said(400))

        with hooked(hook), pytest.raises(ServiceUnavailable, match=r"failed \(400\)"):
            Notify("alerts")("it failed")

        assert len(hook.asked) == 1


class TestRedaction:
    """No secret that this process was given leaves it in a message."""

    def test_what_a_flow_loaded(self, caplog: pytest.LogCaptureFixture) -> None:
        """In whatever way it stands in the text of an error, as text and in a mapping; and nothing of it is logged."""
        save("secret/token", value=TOKEN)
        hook, loaded = Hook(Said()), Secret.load("token").get()
        texts = [f"bad {loaded}", repr(ValueError(loaded)), json.dumps({"password": loaded}), f"GET {PATH} failed"]
        texts += [f"https://host/?token={quote(loaded, safe='')}", urlencode({"token": loaded})]

        with hooked(hook) as url, caplog.at_level(logging.DEBUG):
            for text in texts:
                Notify("alerts")(text)
            Notify("alerts")({"error": ValueError(loaded), "in": [{loaded: url + PATH}], "and": (KEY,), "n": 5})

        posted = b"\n".join(asked.body for asked in hook.asked)
        assert b"bad **********" in posted
        assert b'"n": 5' in posted
        assert not hunt_bytes(SECRETS, posted + caplog.text.encode(), "messages")

    def test_values_that_are_no_text(self) -> None:
        """Those inside a mapping, bytes, and long numbers."""
        save("secret/many", value={"user": "root", "pin": 12345678, "keys": ["first-key", "second-key"]})
        Secret.load("many")

        told = redacted({"text": "12345678 first-key second-key", "n": 12345678, "m": 123})

        assert told == {"text": "********** ********** **********", "n": "**********", "m": 123}

    def test_what_is_inside_another_block(self) -> None:
        """As credentials in a bucket are; what is no secret stays."""
        AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=TOKEN.replace(" ", "")).save("prod")
        save("s3-bucket/reports", bucket="reports", credentials="aws-credentials/prod")

        told = elsewhere(
            "from bondstone.blocks import S3Bucket\n"
            "from bondstone.blocks.redact import redacted\n"
            "bucket = S3Bucket.load('reports')\n"
            "print(redacted(f'{bucket.bucket} {bucket.credentials.secret_access_key.get_secret_value()}'))"
        )

        assert told == "reports **********"

    def test_short_values(self) -> None:
        """Stand in any text by chance."""
        save("secret/short", value="a")
        Secret.load("short")

        assert redacted("a banana") == "a banana"


class TestHooks:
    """What engines give to a hook of failure."""

    @pytest.mark.shows_secrets("*")  # the text of the flow's own error is the message of its state, and its result
    def test_prefect(self, tmp_path: Path) -> None:
        """A flow and a task that fail; Prefect's own records apart, the message has the reason without the secret."""
        save("secret/token", value=TOKEN)
        hook = Hook(Said())

        with hooked(hook), prefect_home(tmp_path) as prefect_folder:
            import prefect

            alert: Any = Notify("alerts")

            @prefect.task(on_failure=[alert])
            def ingest() -> None:
                raise ValueError(f"refused {Secret.load('token').get()}")

            @prefect.flow(name="daily", on_failure=[alert])
            def daily() -> None:
                try:
                    ingest()
                except ValueError:
                    raise RuntimeError("no data today") from None

            with pytest.raises(RuntimeError):
                daily()

        of_task, of_flow = (body["text"] for body in hook.bodies)
        assert of_task.startswith("ingest / ingest-")
        assert of_task.endswith("ValueError: refused **********")
        assert of_flow.startswith("daily / ")
        assert of_flow.endswith("RuntimeError: no data today")
        assert not hunt({"path": PATH, "header": KEY}, prefect_folder)

    def test_airflow(self) -> None:
        """Its context; the real one is in `test_airflow.py`."""
        instance = SimpleNamespace(dag_id="daily", task_id="ingest", run_id="manual__1")
        hook = Hook(Said())

        with hooked(hook):
            Notify("alerts")({"task_instance": instance, "exception": ValueError("no data")})

        assert hook.bodies == [{"text": "daily / ingest: failed in run manual__1: ValueError: no data"}]

    def test_something_else(self) -> None:
        """Is no message."""
        with pytest.raises(TypeError, match="a list is neither a message"):
            notice([1])
