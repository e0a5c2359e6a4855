"""Webhooks: only a message would prove one, and a check posts nothing."""

from bondstone.blocks.errors import guarded
from bondstone.blocks.http import HttpWebhook
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.https import ask, good

_PROVES = "Something answers at the address; nothing was posted, so it is not proved that it takes messages."


class Webhooks(Guided):
    """Pasted, and knocked at."""

    remedy = "remove the old webhook where it was made (Slack: api.slack.com, the app, Incoming Webhooks)"

    @guarded
    def verify(self, block: HttpWebhook) -> Verified:
        what = block.reference or block.kind
        headers = {name: value.get_secret_value() for name, value in block.headers.items()}
        answer = ask(block.url.get_secret_value(), what, method="HEAD", headers=headers)
        if answer.status >= 500:
            good(answer, what, "")
        return Verified("HEAD", f"status {answer.status}", _PROVES)


http_webhook = Webhooks()
