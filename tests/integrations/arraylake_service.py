"""Arraylake as far as its client needs it to list things: what the tests serve to the unmodified client.

Served by uvicorn. The tokens that count are the lines of the file named by TOKENS, read at each request; REPOS names the organization's
repositories; with `down` among the tokens it has trouble. Paths and fields are those that arraylake 1.7 asks
for; the status codes of the hosted service are assumed.
"""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ORG = "earthmover"
CREATED = "2026-11-21T00:00:00Z"
UUID = "00000000-0000-0000-0000-000000000001"


class Tokens(AuthenticationBackend):
    """Whoever has a token that counts at this moment."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        token = conn.headers.get("Authorization", "").removeprefix("Bearer ")
        accepted = Path(os.environ["TOKENS"]).read_text().split()
        if "down" in accepted:
            raise AuthenticationError("down")
        if token not in accepted:
            raise AuthenticationError("invalid token")
        return AuthCredentials(["token"]), SimpleUser("flow@example.org")


def refused(_: HTTPConnection, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=503 if str(error) == "down" else 401)


async def user(request: Request) -> Response:
    return JSONResponse(
        {"id": UUID, "client_id": "flow", "email": request.user.display_name, "expiration": 2_000_000_000}
    )


async def diagnostics(_: Request) -> Response:
    return JSONResponse({})


async def orgs(_: Request) -> Response:
    return JSONResponse([{"id": "1", "name": ORG, "created": CREATED}])


async def repos(request: Request) -> Response:
    names = os.environ["REPOS"].split() if request.path_params["org"] == ORG else []
    items = [_repo(number, name) for number, name in enumerate(names, 1)]
    page, size = (int(request.query_params.get(name, default)) for name, default in (("page", 1), ("size", 100)))
    pages = max(1, -(-len(items) // size))
    some = items[(page - 1) * size : page * size]
    return JSONResponse({"items": some, "total": len(items), "page": page, "size": size, "pages": pages})


async def repo(request: Request) -> Response:
    known = os.environ["REPOS"].split() if request.path_params["org"] == ORG else []
    name = request.path_params["repo"]
    return JSONResponse(_repo(1, name)) if name in known else JSONResponse({"detail": "no such repo"}, status_code=404)


def _repo(number: int, name: str) -> dict[str, object]:
    status = {"mode": "online", "initiated_by": {}}
    times = {"created": CREATED, "updated": CREATED}
    return {
        "_id": f"{number:024x}",
        "org": ORG,
        "name": name,
        "prefix": name,
        "status": status,
        "kind": "icechunk",
        **times,
    }


app = Starlette(
    routes=[
        Route("/user", user),
        Route("/user/diagnostics", diagnostics, methods=["POST"]),
        Route("/user/orgs", orgs),
        Route("/orgs/{org}/repos/paginated", repos),
        Route("/repos/{org}/{repo}", repo),
    ],
    middleware=[Middleware(AuthenticationMiddleware, backend=Tokens(), on_error=refused)],
)
