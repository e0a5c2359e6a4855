"""The service of `arraylake_service`, as a test has it in hand."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.cli.demo.process import child_server, listening
from bondstone.cli.demo.server import KeyPair, S3Server

ORG = "earthmover"
HOUR = 3600


@dataclass
class Service:
    """A running service. What it knows is in a file, which this changes."""

    uri: str
    state: Path = field(repr=False)
    user: str = ""  # of the S3 server, whose keys the buckets have

    def begin(self, s3: S3Server | None = None, user: str = "") -> None:
        """Afresh: no tokens, no repositories; with `s3` two buckets, `delegated` and `hmac`, whose keys are of a user of their own."""
        sts: dict[str, str] = {}
        buckets: dict[str, Any] = {}
        if s3 is not None:
            self.user, key = user, s3.create_key(user)
            sts = {"endpoint_url": s3.endpoint} | _pair(key, "aws_")
            role = {"method": "aws_customer_managed_role", "external_customer_id": "1", "external_role_name": "lake"}
            buckets = {
                "delegated": bucket(s3, "s3", role),
                "hmac": bucket(s3, "s3-compatible", {"method": "hmac"} | _pair(key)),
            }
        known = {"tokens": {}, "down": False, "offline": False, "seconds": HOUR}
        self.write(known | {"sts": sts, "buckets": buckets, "repos": {}})
        self.forget()

    def change(self, **values: Any) -> None:
        """Say otherwise from now on."""
        self.write(self.known() | values)

    def accept(self, *tokens: str, org: str = ORG) -> None:
        """These from now on, and no others."""
        self.change(tokens=dict.fromkeys(tokens, org))

    def keep(self, *names: str, bucket: str = "delegated", prefix: str = "") -> None:
        """Repositories of these names."""
        new = {name: {"bucket": bucket, "prefix": f"{prefix}{name}", "virtual": {}} for name in names}
        self.change(repos=self.known()["repos"] | new)

    def archive(self, s3: S3Server, name: str, key: KeyPair | None = None) -> None:
        """One more bucket, `archive`, by this key, or by keys that are delegated as those of `delegated` are."""
        buckets = self.known()["buckets"]
        role = buckets["delegated"]["auth_config"]
        its = (
            bucket(s3, "s3-compatible", {"method": "hmac"} | _pair(key), name) if key else bucket(s3, "s3", role, name)
        )
        self.change(buckets=buckets | {"archive": its})

    def give(self, key: KeyPair) -> None:
        """Another key to the bucket `hmac`."""
        buckets = self.known()["buckets"]
        buckets["hmac"]["auth_config"] |= _pair(key)
        self.change(buckets=buckets)

    def key(self) -> KeyPair:
        """That of the bucket `hmac`."""
        auth = self.known()["buckets"]["hmac"]["auth_config"]
        return KeyPair(auth["access_key_id"], auth["secret_access_key"])

    def spoil(self) -> None:
        """From now on the answer about the bucket `hmac` is one that its client refuses, for a value that is secret."""
        buckets = self.known()["buckets"]
        buckets["hmac"]["is_default"] = {"of": self.key().secret_access_key}
        self.change(buckets=buckets)

    def asked(self, path: str) -> int:
        """How often, since the beginning or since `forget`."""
        return self.state.with_suffix(".asked").read_text().splitlines().count(path)

    def forget(self) -> None:
        for notes in ("asked", "given"):
            self.state.with_suffix(f".{notes}").write_text("")

    def shown_in(self, data: bytes) -> list[str]:
        """In what ways a token that counts, or a secret key that was given since `forget`, stands in `data`."""
        given = self.state.with_suffix(".given").read_text().split()
        return [str(hit) for hit in hunt_bytes({key: key for key in [*self.known()["tokens"], *given]}, data, "data")]

    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self.state.read_text())
        return known

    def write(self, known: dict[str, Any]) -> None:
        """All at once: it may be asked at any moment."""
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.replace(self.state)


def bucket(s3: S3Server, platform: str, auth: dict[str, str] | None, name: str = "reports") -> dict[str, Any]:
    """As the service keeps it, by its nickname."""
    extra = {"endpoint_url": s3.endpoint, "region_name": s3.region, "use_ssl": False, "force_path_style": True}
    return {"platform": platform, "name": name, "prefix": "", "extra_config": extra, "auth_config": auth}


def _pair(key: KeyPair, prefix: str = "") -> dict[str, str]:
    return {f"{prefix}access_key_id": key.access_key_id, f"{prefix}secret_access_key": key.secret_access_key}


@contextmanager
def arraylake_service(folder: Path) -> Iterator[Service]:
    """Run it until the end of the block."""
    with listening() as listener:
        argv = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "--log-level", "error"]
        argv += ["--app-dir", str(Path(__file__).parent), "arraylake_service:app"]
        path = folder / "state.json"
        with child_server(argv, listener=listener, env={"STATE": str(path)}, log=folder / "log") as child:
            service = Service(child.endpoint, path)
            service.begin()
            yield service
