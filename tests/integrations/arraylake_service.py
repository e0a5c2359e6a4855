"""Arraylake as far as its client needs it: what the tests serve to the unmodified client.

Served by uvicorn. All that it knows lies in the JSON file named by STATE, which the tests write and it reads at each request: `tokens`
(each with the organization it is of), `down`, `offline`, `seconds` (how long delegated keys live), `buckets`, `repos`, and in `sts` the
S3 server's endpoint and the keys of the user that delegates. Paths and fields are those that arraylake 1.7 asks for; the status codes of
the hosted service are assumed. What was asked, and which secret keys were given, stands in files beside it, a line each.
"""

import json
import os
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CREATED = "2026-11-21T00:00:00Z"
UUID = "00000000-0000-0000-0000-000000000001"
STATE = Path(os.environ.get("STATE", "state"))  # whoever collects doctests imports this, too
DELEGATING = "aws_customer_managed_role"
_changing = Lock()


def state() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(STATE.read_text())
    return known


def _save(known: dict[str, Any]) -> None:
    new = STATE.with_suffix(".ours")
    new.write_text(json.dumps(known))
    new.replace(STATE)


def _note(what: str, line: str) -> None:
    with STATE.with_suffix(f".{what}").open("a") as notes:
        notes.write(f"{line}\n")


class Tokens(AuthenticationBackend):
    """Whoever has a token that counts at this moment, in the organization that it is of."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        known = state()
        _note("asked", f"{conn.scope['method']} {conn.url.path}")
        if known["down"]:
            raise AuthenticationError("down")
        token = conn.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in known["tokens"]:
            raise AuthenticationError("invalid token")
        return AuthCredentials([known["tokens"][token]]), SimpleUser("flow@example.org")


def refused(_: HTTPConnection, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=503 if str(error) == "down" else 401)


def user(request: Request) -> Response:
    return JSONResponse(
        {"id": UUID, "client_id": "flow", "email": request.user.display_name, "expiration": 2_000_000_000}
    )


def diagnostics(_: Request) -> Response:
    return JSONResponse({})


def orgs(request: Request) -> Response:
    return JSONResponse([{"id": "1", "name": name, "created": CREATED} for name in request.auth.scopes])


def repos(request: Request) -> Response:
    items = [_repo(org(request), name) for name in state()["repos"]]
    page, size = (int(request.query_params.get(name, default)) for name, default in (("page", 1), ("size", 100)))
    pages = max(1, -(-len(items) // size))
    some = items[(page - 1) * size : page * size]
    return JSONResponse({"items": some, "total": len(items), "page": page, "size": size, "pages": pages})


async def new_repo(request: Request) -> Response:
    org(request)
    asked = await request.json()
    with _changing:
        known = state()
        if asked["name"] in known["repos"]:
            raise HTTPException(409, "there is a repo of that name")
        bucket = asked["bucket_nickname"] or next(iter(known["buckets"]))
        known["repos"][asked["name"]] = {"bucket": bucket, "prefix": asked["prefix"] or asked["name"], "virtual": {}}
        _save(known)
    return JSONResponse(_repo(org(request), asked["name"]), status_code=201)


def repo(request: Request) -> Response:
    return JSONResponse(_repo(org(request), named(request)))


def delete_repo(request: Request) -> Response:
    org(request)
    with _changing:
        known = state()
        del known["repos"][named(request)]
        _save(known)
    return Response(status_code=204)


def open_repo(request: Request) -> Response:
    its_org, name = org(request), named(request)
    known = state()
    its = known["repos"][name]
    bucket = known["buckets"][its["bucket"]]
    return JSONResponse(
        {
            "repo_bucket": _bucket(its["bucket"], bucket),
            "repo_prefix": its["prefix"],
            "repo_credentials": _keys(known, bucket),
            "virtual_chunk_credentials": {
                prefix: _virtual(known, its_org, nickname) for prefix, nickname in its["virtual"].items()
            },
            "author": {"name": "flow", "email": "flow@example.org"},
            "principal_id": UUID,
            "status": _status(known),
        }
    )


def repo_keys(request: Request) -> Response:
    org(request)
    known = state()
    return JSONResponse(_keys(known, known["buckets"][known["repos"][named(request)]["bucket"]]))


def containers(request: Request) -> Response:
    org(request)
    return JSONResponse(state()["repos"][named(request)]["virtual"])


async def change_containers(request: Request) -> Response:
    org(request)
    asked = await request.json()
    with _changing:
        known = state()
        virtual = known["repos"][named(request)]["virtual"]
        virtual.update(asked["add"])
        for prefix in asked["remove"]:
            virtual.pop(prefix, None)
        _save(known)
    return JSONResponse(virtual)


def buckets(request: Request) -> Response:
    org(request)
    return JSONResponse([_bucket(nickname, its) for nickname, its in state()["buckets"].items()])


async def new_bucket(request: Request) -> Response:
    org(request)
    asked = await request.json()
    with _changing:
        known = state()
        if asked["nickname"] in known["buckets"]:
            raise HTTPException(409, "there is a bucket of that nickname")
        known["buckets"][asked.pop("nickname")] = asked
        _save(known)
    return JSONResponse(_bucket(*list(known["buckets"].items())[-1]), status_code=201)


def bucket(request: Request) -> Response:
    return JSONResponse(_bucket(*_by_id(request)))


def bucket_keys(request: Request) -> Response:
    return JSONResponse(_keys(state(), _by_id(request)[1]))


def bucket_repos(request: Request) -> Response:
    nickname, _ = _by_id(request)
    names = [name for name, its in state()["repos"].items() if its["bucket"] == nickname]
    return JSONResponse([_repo(org(request), name) for name in names])


def org(request: Request) -> str:
    """The organization of the path, if the token is of it."""
    name: str = request.path_params["org"]
    if name not in request.auth.scopes:
        raise HTTPException(403, "not your organization")
    return name


def named(request: Request) -> str:
    """The repository of the path, if there is one."""
    name: str = request.path_params["repo"]
    if name not in state()["repos"]:
        raise HTTPException(404, "no such repo")
    return name


def _by_id(request: Request) -> tuple[str, dict[str, Any]]:
    org(request)
    for nickname, its in state()["buckets"].items():
        if _id(nickname) == request.path_params["id"]:
            return nickname, its
    raise HTTPException(404, "no such bucket")


def _id(nickname: str) -> str:
    return f"00000000-0000-0000-0000-{int.from_bytes(nickname.encode()[-6:]):012x}"


def _bucket(nickname: str, its: dict[str, Any]) -> dict[str, Any]:
    return {"id": _id(nickname), "nickname": nickname, "is_default": False, **its}


def _keys(known: dict[str, Any], bucket: dict[str, Any]) -> dict[str, Any] | None:
    """Delegated by the S3 server itself, which refuses them afterwards; of an HMAC bucket those that were given; else none."""
    auth = bucket["auth_config"] or {}
    if auth.get("method") == "hmac":
        return _credentials(auth["access_key_id"], auth["secret_access_key"])
    if auth.get("method") != DELEGATING or bucket["platform"] != "s3":
        return None
    config = Config(parameter_validation=False, proxies={})  # or botocore refuses what is shorter than 15 minutes
    sts = boto3.client("sts", **known["sts"], region_name="us-east-1", config=config)
    found = sts.get_session_token(DurationSeconds=known["seconds"])["Credentials"]
    pair = found["AccessKeyId"], found["SecretAccessKey"]
    return _credentials(*pair, found["SessionToken"], found["Expiration"].isoformat())


def _credentials(access: str, secret: str, token: str | None = None, expires: str | None = None) -> dict[str, Any]:
    _note("given", secret)
    pair = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    return {**pair, "aws_session_token": token, "expiration": expires}


def _virtual(known: dict[str, Any], org: str, nickname: str) -> dict[str, Any]:
    bucket = known["buckets"][nickname]
    extra = bucket["extra_config"]
    return {
        "credentials": _keys(known, bucket),
        "org": org,
        "bucket_nickname": nickname,
        "platform": bucket["platform"],
        "region": extra["region_name"],
        "endpoint_url": extra["endpoint_url"],
        "allow_http": not extra["use_ssl"],
        "force_path_style": extra["force_path_style"],
    }


def _status(known: dict[str, Any]) -> dict[str, Any]:
    return {"mode": "offline" if known["offline"] else "online", "initiated_by": {}}


def _repo(org: str, name: str) -> dict[str, Any]:
    known = state()
    its = known["repos"][name]
    return {
        "_id": f"{int.from_bytes(name.encode()[-12:]):024x}",
        "org": org,
        "name": name,
        "prefix": its["prefix"],
        "status": _status(known),
        "kind": "icechunk",
        "bucket": _bucket(its["bucket"], known["buckets"][its["bucket"]]) if its["bucket"] else None,
        "created": CREATED,
        "updated": CREATED,
    }


app = Starlette(
    routes=[
        Route("/user", user),
        Route("/user/diagnostics", diagnostics, methods=["POST"]),
        Route("/user/orgs", orgs),
        Route("/orgs/{org}/repos/paginated", repos),
        Route("/orgs/{org}/repos", new_repo, methods=["POST"]),
        Route("/orgs/{org}/buckets", buckets),
        Route("/orgs/{org}/buckets", new_bucket, methods=["POST"]),
        Route("/orgs/{org}/buckets/{id}", bucket),
        Route("/orgs/{org}/buckets/{id}/credentials", bucket_keys),
        Route("/orgs/{org}/buckets/{id}/repos", bucket_repos),
        Route("/orgs/{org}/{repo}", delete_repo, methods=["DELETE"]),
        Route("/repos/icechunk/{org}/{repo}/virtual-chunk-containers", containers),
        Route("/repos/icechunk/{org}/{repo}/virtual-chunk-containers", change_containers, methods=["PATCH"]),
        Route("/repos/{org}/{repo}", repo),
        Route("/repos/{org}/{repo}/open", open_repo),
        Route("/repos/{org}/{repo}/bucket-credentials", repo_keys),
    ],
    middleware=[Middleware(AuthenticationMiddleware, backend=Tokens(), on_error=refused)],
)
