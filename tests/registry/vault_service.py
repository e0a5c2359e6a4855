"""Vault's transit engine as far as bondstone asks it: what the tests serve to the unmodified `hvac`.

Written from the API page of the transit engine (encrypt, decrypt: `plaintext`, `ciphertext`, `associated_data`; 400 for what does not
open, 403 without a token, 404 where nothing is mounted). Served by uvicorn. KEYS names the keys; TOKEN is the token; with IGNORE_DATA it
forgets associated data, as Vault did before 1.10.
"""

import base64
import hashlib
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def refused(status: int, line: str) -> Response:
    return JSONResponse({"errors": [line]}, status_code=status)


def aad(sent: dict[str, Any]) -> bytes:
    return b"" if os.environ.get("IGNORE_DATA") else base64.b64decode(sent.get("associated_data", ""))


async def crypt(request: Request) -> Response:
    """Both ways: each is POST, or PUT, with JSON."""
    if request.headers.get("X-Vault-Token") != os.environ["TOKEN"]:
        return refused(403, "permission denied")
    name = request.path_params["name"]
    if name not in os.environ["KEYS"].split():
        return refused(400, "encryption key not found")
    key, sent = AESGCM(hashlib.sha256(name.encode()).digest()), await request.json()
    if request.path_params["act"] == "encrypt":
        nonce = os.urandom(12)
        sealed = nonce + key.encrypt(nonce, base64.b64decode(sent["plaintext"], validate=True), aad(sent))
        return JSONResponse({"data": {"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}", "key_version": 1}})
    version, _, text = sent["ciphertext"].removeprefix("vault:").partition(":")
    try:
        sealed = base64.b64decode(text, validate=True)
        plain = key.decrypt(sealed[:12], sealed[12:], aad(sent))
    except (ValueError, InvalidTag):
        return refused(400, "cipher: message authentication failed")
    if version != "v1":
        return refused(400, "invalid ciphertext: version is too new")
    return JSONResponse({"data": {"plaintext": base64.b64encode(plain).decode()}})


app = Starlette(routes=[Route("/v1/transit/{act:str}/{name:str}", crypt, methods=["POST", "PUT"])])
