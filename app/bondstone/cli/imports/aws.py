"""The secrets of AWS Secrets Manager, by boto3 with its own settings."""

import json
from collections.abc import Iterator
from typing import Any

from bondstone.blocks import AccessDenied, ServiceUnavailable
from bondstone.cli.imports import Form, Found
from bondstone.integrations.extras import need


def found(prefix: str) -> Iterator[Found]:
    """Those whose name begins with `prefix`, at their current version; JSON objects become mappings, binary ones bytes.

    Raises `AccessDenied`, `ServiceUnavailable`, and `MissingExtra` if boto3 is not installed.
    """
    core = need("botocore.exceptions", "aws")
    try:
        client = need("boto3", "aws").client("secretsmanager")
        names = sorted(_names(client, prefix))
    except (core.NoCredentialsError, core.PartialCredentialsError, core.ProfileNotFound, core.NoRegionError) as error:
        fault: Exception = AccessDenied(
            f"AWS: {type(error).__name__}: set a profile, or AWS_ACCESS_KEY_ID and AWS_REGION"
        )
    except core.ClientError as error:
        fault = AccessDenied(f"AWS Secrets Manager refused to list its secrets ({_code(error)})")
    except core.BotoCoreError as error:  # its text may hold an endpoint with a password
        fault = ServiceUnavailable(f"AWS Secrets Manager does not answer ({type(error).__name__})")
    else:
        yield from (_one(client, name, core) for name in names)
        return
    raise fault


def _names(client: Any, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_secrets").paginate():
        yield from (secret["Name"] for secret in page["SecretList"] if secret["Name"].startswith(prefix))


def _one(client: Any, name: str, core: Any) -> Found:
    try:
        answer = client.get_secret_value(SecretId=name)
    except core.ClientError as error:
        return Found(name, name, problem=f"cannot be read ({_code(error)})")
    except core.BotoCoreError as error:
        return Found(name, name, problem=f"cannot be read ({type(error).__name__})")
    value = answer["SecretBinary"] if "SecretBinary" in answer else _typed(answer["SecretString"])
    return Found(name, name, (Form("secret", {"value": value}),))


def _typed(text: str) -> Any:
    """A JSON object is what the console makes of keys and values; what merely looks like JSON stays text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "no reason"))[:64]
