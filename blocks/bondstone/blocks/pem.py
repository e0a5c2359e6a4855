"""Private keys and certificates in PEM form: whether they can be read, without showing them. Imports cryptography when asked."""

from typing import Any

# RFC 8410, section 10.3: a published key that opens nothing.
EXAMPLE_KEY = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
    "-----END PRIVATE KEY-----\n"
)

# Signed by itself with a key that was thrown away.
EXAMPLE_CERTIFICATE = (
    "-----BEGIN CERTIFICATE-----\n"
    "MIHSMIGFoAMCAQICAQEwBQYDK2VwMBIxEDAOBgNVBAMMB2V4YW1wbGUwIBcNMjYw\n"
    "MTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAwMDBaMBIxEDAOBgNVBAMMB2V4YW1wbGUw\n"
    "KjAFBgMrZXADIQDy97q9YUCXjaO4m4ZbtNFyWXw/OtoHeTUfxO6DEz6dEzAFBgMr\n"
    "ZXADQQBRpM9JPR5rMpe1gr/GwvpIokl+QHhsvSC/zXX0OL7yqJEi9P4gcTvk9SSB\n"
    "vQQc+fCOS8xGyxsIq+szdHDGeo4M\n"
    "-----END CERTIFICATE-----\n"
)

_NOT_PEM = "is not a private key in PEM form (it begins with -----BEGIN … PRIVATE KEY-----)"
_LOCKED = "the key has a passphrase: give that too"


def private_key_fault(text: str) -> str | None:
    """What is wrong with a private key. One that has a passphrase is right as far as can be told."""
    body = text.strip()
    if body.startswith(("ssh-", "ecdsa-", "-----BEGIN PUBLIC", "---- BEGIN SSH2 PUBLIC")):
        return "is a public key: give the private one"
    if body.startswith("-----BEGIN ") and "\n" not in body:
        return "is a private key without its line breaks: paste it again, or give the file"
    if not (body.startswith("-----BEGIN ") and body.endswith("-----") and "PRIVATE KEY-----" in body):
        return _NOT_PEM
    fault = opening_fault(body, None)
    return None if fault == _LOCKED else fault


def opening_fault(text: str, passphrase: str | None) -> str | None:
    """What keeps a private key from being opened with `passphrase`."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        _load(text.strip().encode(), passphrase)
    except TypeError:  # cryptography's way to say that one of key and passphrase is without the other
        return _LOCKED if passphrase is None else None
    except (
        UnsupportedAlgorithm
    ):  # a key of another sort, or one that needs a package that is not here: its user will tell
        return None
    except ValueError:
        broken = "begins and ends as a private key, and cannot be read: was a part of it lost?"
        return broken if passphrase is None else "the passphrase does not open the key"
    return None


def certificate_fault(text: str) -> str | None:
    """What is wrong with one or more certificates."""
    from cryptography import x509

    if "PRIVATE KEY-----" in text:
        return "holds a private key, which would be shown here: give the certificate alone"
    try:
        x509.load_pem_x509_certificates(text.strip().encode())
    except ValueError:
        return "is not a certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----)"
    return None


def _load(key: bytes, passphrase: str | None) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    password = None if passphrase is None else passphrase.encode()
    if b"BEGIN OPENSSH" in key:
        return load_ssh_private_key(key, password, unsafe_skip_rsa_key_validation=True)
    return load_pem_private_key(key, password, unsafe_skip_rsa_key_validation=True)
