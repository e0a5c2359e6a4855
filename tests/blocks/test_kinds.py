"""What people get wrong, kind by kind: told on construction, by what is wrong, without the value."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bondstone.blocks import (
    AzureContainer,
    Block,
    GcsBucket,
    GcsCredentials,
    GitCredentials,
    IcechunkRepo,
    InvalidBlock,
    InvalidName,
    S3Bucket,
    SshKey,
    catalog,
    find,
)
from bondstone.blocks.pem import EXAMPLE_CERTIFICATE, EXAMPLE_KEY
from bondstone.blocks.testing import samples
from bondstone.registry import current_registry

LEAK = "sent" + "inel9"
ID = "AKIAIOSFODNN7EXAMPLE"
GUID = "00000000-0000-0000-0000-000000000001"
PRINCIPAL = {"account_name": "reports", "tenant_id": GUID, "client_id": GUID}
URL = "https://hooks.slack.com/services/T00000000/B00000000/"
PASTED = {
    "trailing newline": f"{LEAK}\n", "leading space": f" {LEAK}", "inner space": f"{LEAK} {LEAK}", "carriage return": f"{LEAK}\r",
    "tab": f"{LEAK}\t", "zero-width space": f"{LEAK}\u200b", "no-break space": f"{LEAK}\u00a0", "NUL": f"{LEAK}\0", "empty": "",
}  # fmt: skip
TOKENS: dict[str, Callable[[str], dict[str, Any]]] = {
    "arraylake-token": lambda value: {"token": f"ema_{value}" if value else ""},
    "aws-credentials": lambda value: {"access_key_id": ID, "secret_access_key": value},
    "aws-credentials/session": lambda value: {"access_key_id": ID, "secret_access_key": "s", "session_token": value},
    "git-credentials": lambda value: {"token": value},
    "gitlab-token": lambda value: {"owner": "projects/42", "token_id": 1, "token": value},
    "http-webhook": lambda value: {"url": URL + value if value else ""},
    "http-webhook/headers": lambda value: {"url": "https://example.org/x", "headers": {"Authorization": value}},
    "azure-credentials": lambda value: {"account_name": "reports", "sas_token": f"sig={value}" if value else ""},
    "azure-credentials/secret": lambda value: PRINCIPAL | {"client_secret": value},
    "kubernetes-cluster": lambda value: {"server": "https://kube", "token": value},
}
PASSWORDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "database-credentials": lambda value: {"drivername": "postgresql", "username": "u", "password": value},
    "docker-registry": lambda value: {"username": "u", "password": value},
}


def refused(kind: str, fields: dict[str, Any], *words: str) -> None:
    with pytest.raises(InvalidBlock) as caught:
        find(kind.partition("/")[0])(**fields)
    assert LEAK not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("value", list(PASTED.values()), ids=list(PASTED))
@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_with_white_space_is_refused(kind: str, value: str) -> None:
    """As it comes from a file or a web page; sent, it would fail far away, and some clients print it when it does."""
    refused(kind, TOKENS[kind](value), "field '")


@pytest.mark.parametrize("value", [value for name, value in PASTED.items() if name != "inner space"])
@pytest.mark.parametrize("kind", PASSWORDS)
def test_a_password_with_white_space_at_its_ends_is_refused(kind: str, value: str) -> None:
    """Spaces inside are a passphrase's own."""
    refused(kind, PASSWORDS[kind](value), "field 'password'")
    assert find(kind)(**PASSWORDS[kind]("seven wet hens")).is_saved is False


MISTAKES: dict[str, tuple[str, dict[str, Any], str]] = {
    "another vendor's token": ("arraylake-token", {"token": f"ghp_{LEAK}"}, "neither with ema_ nor with ey"),
    "no organization": ("arraylake-repo", {"repo": "ocean", "token": {"token": "ema_x"}}, "field 'repo'"),
    "another organization": ("arraylake-repo", {"repo": "a/ocean", "token": {"token": "ema_x", "org": "b"}}, "another organization"),
    "id and key swapped": ("aws-credentials", {"access_key_id": "x" * 31 + LEAK, "secret_access_key": "s"}, "swapped"),
    "id in the place of the key": ("aws-credentials", {"access_key_id": "AKIAX", "secret_access_key": ID}, "swapped"),
    "id in lower case": ("aws-credentials", {"access_key_id": f"AKIA{LEAK}", "secret_access_key": "s"}, "capital letters"),
    "a role's id": ("aws-credentials", {"access_key_id": "AROAIOSFODNN7EXAMPLE", "secret_access_key": "s"}, "role, user, group"),
    "a name with a space": ("aws-credentials", {"profile": f"my {LEAK}"}, "holds white space"),
    "half a key": ("aws-credentials", {"access_key_id": ID}, "go together"),
    "temporary key alone": ("aws-credentials", {"access_key_id": "ASIAEXAMPLE", "secret_access_key": LEAK}, "session_token goes with it"),
    "a session token alone": ("aws-credentials", {"session_token": LEAK}, "goes with access_key_id"),
    "a profile and a key": ("aws-credentials", {"profile": "p", "access_key_id": ID, "secret_access_key": LEAK}, "not both"),
    "unsigned and signed": ("s3-bucket", {"bucket": "abc", "anonymous": True, "credentials": {"profile": "p"}}, "not both"),
    "an empty segment": ("s3-bucket", {"bucket": "abc", "prefix": "a//b"}, "empty segment"),
    "Google's URL": ("gcs-bucket", {"bucket": f"gs://{LEAK}/x"}, "the name alone"),
    "a public bucket of Google's, signed": ("gcs-bucket", {"bucket": "abc", "anonymous": True, "credentials": {}}, "not both"),
    "an empty segment at Google": ("gcs-bucket", {"bucket": "abc", "prefix": "a//b"}, "empty segment"),
    "Azure's URL": ("azure-container", {"container": f"https://a/{LEAK}", "account_name": "abc"}, "the name alone"),
    "two hyphens": ("azure-container", {"container": "my--reports", "account_name": "abc"}, "field 'container'"),
    "a long name": ("azure-container", {"container": "a" * 64, "account_name": "abc"}, "field 'container'"),
    "a container of no account": ("azure-container", {"container": "abc", "anonymous": True}, "give account_name"),
    "a public container, signed": (
        "azure-container",
        {"container": "abc", "anonymous": True, "credentials": {"account_name": "abc", "sas_token": f"sig={LEAK}"}},
        "not both",
    ),
    "a GitHub App without its id": ("git-credentials", {"app_private_key": EXAMPLE_KEY}, "goes with app_id"),
    "a folder outside": ("git-repository", {"url": "git@host:x/y", "subpath": "../x"}, "leads out of the repository"),
    "two revisions": ("git-repository", {"url": "git@host:x/y", "tag": "a", "branch": "b"}, "at most one of"),
    "half a URL": ("git-repository", {"url": f"https://[{LEAK}"}, "is not a URL"),
    "nowhere": ("icechunk-repo", {}, "either a bucket or a path"),
    "a prefix of a folder": ("icechunk-repo", {"path": "/data/x", "prefix": "p"}, "goes with a bucket"),
    "a server and a file": ("kubernetes-cluster", {"server": "https://k", "kubeconfig": "clusters: users: contexts:"}, "either server or"),
    "a user's ARN": ("aws-credentials", {"role_arn": "arn:aws:iam::123456789012:user/x"}, "is not a role"),
    "S3 URL": ("s3-bucket", {"bucket": f"s3://{LEAK}/x"}, "the name alone"),
    "endpoint without scheme": ("s3-bucket", {"bucket": "abc", "endpoint": "minio:9000"}, "is not a URL"),
    "endpoint with a password": ("s3-bucket", {"bucket": "abc", "endpoint": f"https://u:{LEAK}@minio"}, "credentials block"),
    "endpoint with a bad port": ("s3-bucket", {"bucket": "abc", "endpoint": f"https://minio:{LEAK}"}, "is not a URL"),
    "half an IPv6 address": ("s3-bucket", {"bucket": "abc", "endpoint": f"https://[{LEAK}"}, "is not a URL"),
    "token in a URL": ("git-repository", {"url": f"https://{LEAK}@github.com/x/y"}, "credentials block"),
    "password in an SSH URL": ("git-repository", {"url": f"ssh://git:{LEAK}@github.com/x/y"}, "credentials block"),
    "two ways": ("git-credentials", {"token": LEAK, "ssh_private_key": EXAMPLE_KEY}, "exactly one of"),
    "a passphrase alone": ("git-credentials", {"token": LEAK, "ssh_passphrase": LEAK}, "goes with ssh_private_key"),
    "no dialect": ("database-credentials", {"drivername": "postgres"}, "did you mean POSTGRESQL"),
    "a whole URL": ("database-credentials", {"drivername": f"postgresql://u:{LEAK}@db/x"}, "field 'drivername'"),
    "host with a port": ("database-credentials", {"drivername": "mysql", "host": "db.example.org:3306"}, "leave out scheme"),
    "host with a user": ("database-credentials", {"drivername": "mysql", "host": f"{LEAK}@db"}, "leave out scheme"),
    "port 0": ("database-credentials", {"drivername": "mysql", "port": 0}, "field 'port'"),
    "port 65536": ("database-credentials", {"drivername": "mysql", "port": 65536}, "field 'port'"),
    "password in the query": ("database-credentials", {"drivername": "mysql", "query": {"ssl_Password": LEAK}}, "holds a secret"),
    "password without a user": ("database-credentials", {"drivername": "mysql", "password": LEAK}, "goes with username"),
    "webhook without scheme": ("http-webhook", {"url": f"example.org/{LEAK}"}, "is not a URL"),
    "webhook with a password": ("http-webhook", {"url": f"https://u:{LEAK}@example.org/"}, "credentials block"),
    "half a Slack webhook": ("http-webhook", {"url": f"https://hooks.slack.com/services/{LEAK}"}, "is not a webhook of Slack"),
    "Slack in clear": ("http-webhook", {"url": f"{URL}{LEAK}".replace("https", "http")}, "is not a webhook of Slack"),
    "a style that is none": ("http-webhook", {"url": "https://example.org", "style": "teams"}, "field 'style'"),
    "a header that is none": ("http-webhook", {"url": "https://example.org", "headers": {"a b": LEAK}}, "headers has a name"),
    "path of a key file": ("gcs-credentials", {"service_account": f"/home/{LEAK}.json"}, "not its path"),
    "a person's key file": ("gcs-credentials", {"service_account": {"type": "authorized_user", "refresh_token": LEAK}}, "not the key file"),
    "a list": ("gcs-credentials", {"service_account": json.dumps([LEAK])}, "not the key file"),
    "half a key file": ("gcs-credentials", {"service_account": {"type": "service_account"}}, "without client_email and private_key"),
    "a key file with a broken key": (
        "gcs-credentials",
        {"service_account": {"type": "service_account", "client_email": "x", "private_key": EXAMPLE_KEY[:60] + LEAK}},
        "private_key cannot be read",
    ),
    "a connection string without key": ("azure-credentials", {"connection_string": f"AccountName={LEAK}"}, "was a part cut off"),
    "half an account key": ("azure-credentials", {"account_name": "abc", "account_key": base64.b64encode(b"x" * 63).decode()}, "64 bytes"),
    "no base64": ("azure-credentials", {"account_name": "abc", "account_key": LEAK + "!"}, "64 bytes"),
    "a whole SAS URL": ("azure-credentials", {"account_name": "abc", "sas_token": f"https://a/?sig={LEAK}"}, "question mark"),
    "a SAS with its question mark": ("azure-credentials", {"account_name": "abc", "sas_token": f"?sig={LEAK}"}, "question mark"),
    "a SAS without account": ("azure-credentials", {"sas_token": f"sig={LEAK}"}, "give account_name"),
    "an account twice": ("azure-credentials", {"connection_string": f"AccountKey={LEAK}", "account_name": "abc"}, "except with"),
    "the id of a client secret": ("azure-credentials", PRINCIPAL | {"client_secret": GUID}, "is the id of a secret"),
    "a client id that is none": ("azure-credentials", PRINCIPAL | {"client_id": "flows", "client_secret": LEAK}, "is not an id"),
    "half a principal": ("azure-credentials", {"account_name": "abc", "client_secret": LEAK}, "go together"),
    "no way in": ("azure-credentials", {"account_name": "abc"}, "exactly one of"),
    "image registry as a URL": ("docker-registry", {"host": "https://index.docker.io/v1/"}, "field 'host'"),
    "half a login": ("docker-registry", {"password": LEAK}, "go together"),
    "path of a kubeconfig": ("kubernetes-cluster", {"kubeconfig": f"~/.kube/{LEAK}"}, "not its path"),
    "a namespace that is none": ("kubernetes-cluster", {"server": "https://k", "token": LEAK, "namespace": "My_Flows"}, "'namespace'"),
    "nobody logs in": ("kubernetes-cluster", {"server": "https://k"}, "either token or client_key"),
    "half a client certificate": ("kubernetes-cluster", {"server": "https://k", "client_key": EXAMPLE_KEY}, "go together"),
    "a context without file": ("kubernetes-cluster", {"server": "https://k", "token": LEAK, "context": "lab"}, "goes with kubeconfig"),
    "no certificate": ("kubernetes-cluster", {"server": "https://k", "token": "x", "ca_certificate": LEAK}, "is not a certificate"),
    "a key among certificates": (
        "kubernetes-cluster",
        {"server": "https://k", "token": "x", "ca_certificate": EXAMPLE_CERTIFICATE + EXAMPLE_KEY},
        "holds a private key",
    ),
    "a public key": ("ssh-key", {"private_key": f"ssh-ed25519 {LEAK}"}, "give the private one"),
    "the path of a key": ("ssh-key", {"private_key": f"~/.ssh/{LEAK}"}, "is not a private key"),
    "a key in one line": ("ssh-key", {"private_key": EXAMPLE_KEY.replace("\n", " ")}, "without its line breaks"),
    "a key with its line breaks spelled": ("ssh-key", {"private_key": EXAMPLE_KEY.replace("\n", "\\n")}, "without its line breaks"),
    "half a key in PEM": ("ssh-key", {"private_key": EXAMPLE_KEY.replace("MC4CAQAwBQYDK2VwBCIE", LEAK)}, "a part of it lost"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_usual_mistakes_are_told(mistake: str) -> None:
    """Each in words of its own, before anything is saved."""
    kind, fields, words = MISTAKES[mistake]

    refused(kind, fields, words)


@pytest.mark.parametrize(
    "kind", ["arraylake-repo", "database-credentials", "azure-credentials", "kubernetes-cluster", "ssh-key"]
)
def test_nothing_is_remembered_of_a_mistake(kind: str) -> None:
    """After it the same class takes what is right."""
    with pytest.raises(InvalidBlock):
        find(kind)(nothing="of the kind")

    assert samples(find(kind))


def encoded(key: Any, form: str, password: str | None) -> str:
    forms = serialization.PrivateFormat
    lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, getattr(forms, form), lock).decode())


KEYS = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ECDSA": ec.generate_private_key(ec.SECP256R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
}
FORMS = [
    (name, form)
    for name in KEYS
    for form in ("PKCS8", "OpenSSH", "TraditionalOpenSSL")
    if (name, form) != ("Ed25519", "TraditionalOpenSSL")
]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_keys_of_every_usual_form_are_taken(name: str, form: str) -> None:
    """As ssh-keygen, openssl and the clouds write them; they come back as they were, whatever line ends they have."""
    text = encoded(KEYS[name], form, None)

    for key in (text, text.replace("\n", "\r\n"), f"\n{text}\n"):
        SshKey(private_key=key).save("k", overwrite=True)
        assert SshKey.load("k").private_key.get_secret_value() == key
        assert GitCredentials(ssh_private_key=key, ssh_passphrase="not needed")


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, form in FORMS if form != "OpenSSH"])
def test_a_locked_key_wants_its_passphrase(name: str, form: str) -> None:
    """None and a wrong one are told now, not in the middle of a night's flow."""
    text = encoded(KEYS[name], form, LEAK)

    refused("ssh-key", {"private_key": text}, "the key has a passphrase: give that too")
    refused("ssh-key", {"private_key": text, "passphrase": LEAK + "x"}, "the passphrase does not open the key")
    refused("git-credentials", {"ssh_private_key": text}, "the key has a passphrase: give that too")
    assert SshKey(private_key=text, passphrase=LEAK).passphrase


# Made for this test by ssh-keygen, with the passphrase "seven wet hens"; it opens nothing.
LOCKED = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBUJtiOox\n"
    "SLkwSvzpUmsh4zAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIC6mUNqXYkFv/vkz\n"
    "AWBq5rdeutMxPIfhf3fTh8zgh+M+AAAAkEQ551lhrjYTF5DA81U6dYhl4c+0A1qHQ4RqAe\n"
    "ral9Chtsg+zrgJzzXfQ9o1U2MkFhwJF7pr47AYN1ejhGVnmqbK5fKzaMSGSHM02xusMsRl\n"
    "M3Phhmnv0MM2XuqIFNG9+Y0o/csJ/+9mQhdn5MkCrMz9IstV9ZTgBXNMzjhd+bFn/Fcitc\n"
    "DAiNjKOo3Es+8K4g==\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)


def test_an_openssh_key_wants_its_passphrase_too() -> None:
    """Whether it is the right one is found out where the package bcrypt is installed; elsewhere it is taken."""
    refused("ssh-key", {"private_key": LOCKED}, "the key has a passphrase: give that too")

    assert SshKey(private_key=LOCKED, passphrase="seven wet hens").passphrase


def test_a_stored_key_is_not_parsed_again() -> None:
    """It was checked when it was saved; a check that a later version makes stricter does not keep anybody from a key."""
    document = {"fields": {"private_key": "as an older version took it"}, "schema_version": 1}
    current_registry(create=True).save("ssh-key", "old", json.dumps(document).encode())
    document = {"fields": {"service_account": "{}"}, "schema_version": 1}
    current_registry().save("gcs-credentials", "old", json.dumps(document).encode())

    assert SshKey.load("old").private_key.get_secret_value() == "as an older version took it"
    assert GcsCredentials.load("old").service_account


def test_a_key_file_is_taken_as_text_and_as_a_mapping() -> None:
    """Of the same content."""
    text = GcsCredentials.model_fields["service_account"].examples
    assert text

    assert GcsCredentials(service_account=text[0]) == GcsCredentials(service_account=json.loads(text[0]))


def test_what_is_right_is_taken() -> None:
    """Values that a check which means well could refuse."""
    for kind, fields in (
        ("aws-credentials", {"access_key_id": "minioadmin", "secret_access_key": "minioadmin"}),
        ("aws-credentials", {"access_key_id": "ASIAEXAMPLE", "secret_access_key": "s", "session_token": "t"}),
        ("aws-credentials", {"role_arn": "arn:aws-us-gov:iam::123456789012:role/path/writer"}),
        ("database-credentials", {"drivername": "sqlite", "database": "/data/x.db"}),
        ("database-credentials", {"drivername": "cockroachdb+psycopg", "host": "::1", "username": "Ünï köde"}),
        ("database-credentials", {"drivername": "hive", "host": "[2001:db8::1]", "port": 1}),
        ("http-webhook", {"url": "http://127.0.0.1:8080/hook", "style": "slack"}),
        ("http-webhook", {"url": "https://hooks.slack.com/workflows/T1/A2/3/4abc", "style": "slack"}),
        ("gcs-credentials", {}),
        ("gcs-bucket", {"bucket": "reports.example.org", "prefix": "/2026/"}),
        ("azure-container", {"container": "my-reports-0", "account_name": "abc"}),
        ("azure-container", {"container": "abc", "credentials": {"connection_string": "AccountName=a;AccountKey=x"}}),
        ("azure-credentials", {"connection_string": "UseDevelopmentStorage=true"}),
        ("azure-credentials", {"connection_string": "BlobEndpoint=https://x/;SharedAccessSignature=sv=1&sig=x"}),
        ("docker-registry", {"host": "localhost:5000"}),
        ("docker-registry", {}),
        ("kubernetes-cluster", {"kubeconfig": json.dumps({"apiVersion": "v1", "clusters": [], "contexts": [], "users": []})}),
        ("kubernetes-cluster", {"kubeconfig": json.dumps({"clusters": [], "contexts": [], "users": []}, indent=2)}),
        ("kubernetes-cluster", {"kubeconfig": "apiVersion: v1\nclusters:\n- name: x\nusers: []\ncontexts: []\n", "context": "x"}),
        ("git-repository", {"url": "git@github.com:zarr-developers/zarr-python.git"}),
    ):  # fmt: skip
        assert find(kind)(**fields).kind == kind


@pytest.mark.parametrize(
    "bucket",
    [
        S3Bucket(bucket="reports", anonymous=True),
        GcsBucket(bucket="reports", anonymous=True),
        AzureContainer(container="reports", account_name="abc", anonymous=True),
    ],
    ids=lambda bucket: bucket.kind,
)
def test_a_repository_lies_with_any_vendor(bucket: Block) -> None:
    """By value and by name what comes back is of the class that was given."""
    IcechunkRepo(bucket=bucket, prefix="x").save("by-value")
    bucket.save("reports")
    IcechunkRepo(bucket=f"{bucket.kind}/reports", prefix="x").save("by-name")

    for name in ("by-value", "by-name"):
        assert type(IcechunkRepo.load(name).bucket) is type(bucket)
        assert IcechunkRepo.load(name).bucket == bucket


def test_a_repository_as_it_was_stored_before_there_were_other_vendors() -> None:
    """By name and by value; the fields of a bucket without its kind are an S3Bucket's, as they were."""
    registry = current_registry(create=True)
    S3Bucket(bucket="reports", prefix="a").save("reports")
    inner = {"$kind": "s3-bucket", "fields": {"bucket": "reports", "prefix": "a"}, "schema_version": 1}
    for name, stored in (("by-name", {"$ref": "s3-bucket/reports"}), ("by-value", inner)):
        document = {"fields": {"bucket": stored, "prefix": "x"}, "schema_version": 1}
        registry.save("icechunk-repo", name, json.dumps(document).encode())

    for name in ("by-name", "by-value"):
        assert IcechunkRepo.load(name) == IcechunkRepo(bucket={"bucket": "reports", "prefix": "a"}, prefix="x")
        assert type(IcechunkRepo.load(name).bucket) is S3Bucket


def test_keys_of_virtual_chunks_by_name_where_nothing_was_built_before() -> None:
    """The first block that a process makes may be a repository, whose bucket and whose virtual chunks have the same kind of credentials."""
    program = (
        "from bondstone.blocks import AwsCredentials, IcechunkRepo\n"
        "IcechunkRepo(path='/x')\n"
        "AwsCredentials(profile='p').save('archive')\n"
        "IcechunkRepo(path='/x', virtual_chunk_credentials={'s3://archive/': 'aws-credentials/archive'})\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


def test_a_bucket_that_is_none() -> None:
    """All that could stand there is told."""
    with pytest.raises(InvalidName) as caught:
        IcechunkRepo(bucket="secret/reports", prefix="x")

    assert [name for name in ("s3-bucket/", "gcs-bucket/", "azure-container/") if name not in str(caught.value)] == []


def test_every_kind_that_has_a_check_is_here() -> None:
    """So that a new one is not forgotten; those with no shape of their own are named."""
    here = {kind.partition("/")[0] for kind in (*TOKENS, *PASSWORDS, *(kind for kind, _, _ in MISTAKES.values()))}
    ours = {kind for kind, block in catalog().items() if block.__module__.startswith("bondstone.blocks.")}

    assert ours - here == {"secret"}
