"""Arraylake's own client, unmodified, with the token that is current: against a small service of ours on 127.0.0.1."""

import os
import pickle
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import arraylake
import cloudpickle
import pytest
from arraylake.exceptions import ArraylakeClientError

from bondstone.blocks import AccessDenied, ArraylakeToken, InvalidBlock, NotFound, ServiceUnavailable, live
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations.arraylake import _live_client, connect
from tests.integrations.arraylake_stand_in import Service
from tests.integrations.conftest import elsewhere, save

REPOS = ["ocean", "air"]


@pytest.fixture
def service(arraylake_process: Service, home: Path) -> Service:
    """A service that accepts `ema_first`, and a registry with it as `arraylake-token/prod`."""
    service = arraylake_process
    service.begin()
    service.keep(*REPOS, bucket="")
    service.accept("ema_first-token")
    save("arraylake-token/prod", token="ema_first-token", service_uri=service.uri, org="earthmover")
    return service


def test_the_client_works(service: Service) -> None:
    """It is the vendor's own, and sends the token of the block to the service of the block."""
    client = connect("prod")

    assert isinstance(client, arraylake.Client)
    assert client.service_uri == service.uri
    assert [org.name for org in client.get_orgs()] == ["earthmover"]
    assert [repo.name for repo in client.list_repos("earthmover")] == REPOS
    assert [repo.name for repo in client.list_repos_paginated("earthmover")] == REPOS


def test_a_client_goes_on_after_a_rotation(service: Service) -> None:
    """A new version is saved, the old token refused: the same object works, and so does what it was asked before."""
    client = connect("prod")
    client.get_orgs()
    service.accept("ema_first-token", "ema_second-token")

    save("arraylake-token/prod", token="ema_second-token", service_uri=service.uri)
    service.accept("ema_second-token")

    assert [org.name for org in client.get_orgs()] == ["earthmover"]
    assert [repo.name for repo in client.list_repos_paginated("earthmover")] == REPOS


def test_a_client_follows_its_service(service: Service, tmp_path: Path) -> None:
    """The address is in the block too."""
    client = connect("prod")

    save("arraylake-token/prod", token="ema_first-token", service_uri="http://127.0.0.1:9")

    assert client.service_uri == "http://127.0.0.1:9"


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_a_pickle_holds_no_token(dumps: Callable[[object], bytes], service: Service) -> None:
    """The vendor's own client pickles it in clear."""
    client = connect("prod")
    client.get_orgs()
    secrets = {"token": "ema_first-token"}

    assert hunt_bytes(secrets, dumps(arraylake.Client(token="ema_first-token")), "pickle")
    assert not hunt_bytes(secrets, dumps(client), "pickle")
    assert not hunt_bytes(secrets, f"{client!r} {client} {vars(client)}".encode(), "repr")


def test_a_client_in_another_process(service: Service) -> None:
    """It arrives as the name of its block; a rotation on the way does not matter."""
    client = connect("prod")
    client.get_orgs()
    save("arraylake-token/prod", token="ema_second-token", service_uri=service.uri)
    service.accept("ema_second-token")

    told = elsewhere("print([repo.name for repo in it.list_repos('earthmover')])", client)

    assert told == str(REPOS)


def test_the_environment_does_not_win(service: Service) -> None:
    """Arraylake itself would take its token from there; also when it is imported afterwards."""
    told = elsewhere(
        "from bondstone.integrations.arraylake import connect\nprint([org.name for org in connect('prod').get_orgs()])",
        ARRAYLAKE_TOKEN="ema_of-somebody-else",
        ARRAYLAKE_SERVICE__URI="http://127.0.0.1:9",
    )

    assert told == "['earthmover']"


def test_the_environment_is_left_alone(service: Service) -> None:
    """A token there would be inherited by every child."""
    before = dict(os.environ)

    connect("prod").get_orgs()

    assert dict(os.environ) == before


def test_a_token_that_is_saved_while_the_service_refuses(service: Service) -> None:
    """Where the handle is behind, as it may be for `ttl`: it is refreshed, and the call made once more; also between two pages."""
    behind = Behind(ArraylakeToken.load("prod"))
    client = _live_client()(behind)
    client.get_orgs()
    pages = client.list_repos_paginated("earthmover", page_size=1)
    assert next(pages).name == REPOS[0]
    save("arraylake-token/prod", token="ema_second-token", service_uri=service.uri)
    service.accept("ema_second-token")

    assert [repo.name for repo in pages] == REPOS[1:]
    assert behind.refreshed == 1
    assert [org.name for org in client.get_orgs()] == ["earthmover"]
    behind.behind()
    assert [org.name for org in client.get_orgs()] == ["earthmover"]
    assert behind.refreshed == 2


def test_a_refused_token_is_told_and_not_shown(service: Service) -> None:
    """The block to renew is named; the token is in no text, cause or frame."""
    save("arraylake-token/prod", token="ema_refused-token", service_uri=service.uri)

    for call in (lambda client: client.get_orgs(), lambda client: list(client.list_repos_paginated("earthmover"))):
        with pytest.raises(AccessDenied) as caught:
            call(connect("prod"))
        assert str(caught.value) == (
            f"Arraylake at {service.uri} refused the token: save a new version of arraylake-token/prod"
        )
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert not hunt_bytes({"token": "ema_refused-token"}, shown.encode(), "traceback")


def test_what_is_no_refusal_is_the_vendors_error(service: Service) -> None:
    """Here 404: nothing is asked again, and nothing translated."""
    with pytest.raises(ArraylakeClientError, match="404"):
        connect("prod").get_repo_object("earthmover/none")


def test_a_service_in_trouble(service: Service) -> None:
    """The vendor's client would try for 91 s: it is given up at the deadline."""
    service.change(down=True)
    start = time.monotonic()

    with pytest.raises(ServiceUnavailable, match="did not answer within 1 s"):
        _live_client()(live(ArraylakeToken, "prod"), deadline=1.0).get_orgs()

    assert time.monotonic() - start < 10


def test_nobody_listens(service: Service) -> None:
    """The vendor's error would hold the request, with the token in its headers."""
    save("arraylake-token/prod", token="ema_first-token", service_uri="http://127.0.0.1:9")

    with pytest.raises(ServiceUnavailable, match="correct the service_uri of arraylake-token/prod") as caught:
        _live_client()(live(ArraylakeToken, "prod"), deadline=20.0).get_orgs()

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


class Behind:
    """A handle that shows what was, until it is refreshed."""

    def __init__(self, block: ArraylakeToken) -> None:
        self._block, self._first, self.refreshed = block, block, 0

    def get(self) -> ArraylakeToken:
        return self._block

    def behind(self) -> None:
        self._block = self._first

    def refresh(self) -> ArraylakeToken:
        self.refreshed += 1
        self._block = ArraylakeToken.load("prod")
        return self._block


@pytest.mark.parametrize("token", ["ema_good-token\n", " ema_good-token", "ema_good token"])
def test_a_badly_pasted_token_is_refused_when_it_is_made(token: str, service: Service) -> None:
    """Arraylake would take it, and show it 7 s later in an error of its HTTP client."""
    with pytest.raises(InvalidBlock, match="white space") as caught:
        save("arraylake-token/prod", token=token, service_uri=service.uri)

    assert token.strip() not in "".join(traceback.format_exception(caught.value))


def test_no_block_of_that_name(service: Service) -> None:
    """Told at once, before anything is sent."""
    with pytest.raises(NotFound, match="no arraylake-token named 'prd': did you mean 'prod'"):
        connect("prd").get_orgs()
