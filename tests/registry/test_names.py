"""Names, kinds and references: what is legal, what is refused, and that a pasted key is not echoed."""

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondstone.registry import InvalidName, Reference
from bondstone.registry.names import check_kind, check_name, for_the_record, kebab, looks_like_a_key, shown, slug

segments = st.from_regex(r"[a-z0-9_-][a-z0-9._-]{0,10}", fullmatch=True)
names = st.lists(segments, min_size=1, max_size=4).map("/".join).filter(lambda name: not looks_like_a_key(name))
kinds = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True).filter(
    lambda kind: not looks_like_a_key(kind)
)
fields = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}(\.[a-z0-9]{1,3})?", fullmatch=True)


@given(kinds, names, st.none() | st.integers(1, 10**18 - 1), st.none() | fields)
def test_references_round_trip(kind: str, name: str, version: int | None, field: str | None) -> None:
    """What a reference writes, as text or as a URI, is read back as the same parts; copies and pickles too."""
    reference = Reference(kind, name, version, field)

    for again in (
        Reference.parse(str(reference)),
        Reference.parse(reference.uri),
        pickle.loads(pickle.dumps(reference)),
        copy.deepcopy(reference),
    ):
        assert again == reference
        assert (again.kind, again.name, again.version, again.field) == (kind, name, version, field)
    assert reference == f"{kind}/{name}" + (f"@{version}" if version else "") + (f"#{field}" if field else "")


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_invalid_name(text: str) -> None:
    """Parsing never fails in another way, and what it reads it writes the same."""
    try:
        reference = Reference.parse(text)
    except InvalidName:
        return

    assert str(reference) == text.removeprefix("bondstone://")


@given(st.text(max_size=300) | st.text("/.-aZ \N{LATIN SMALL LETTER A WITH DIAERESIS}", max_size=300))
def test_a_slug_is_a_name_or_nothing(text: str) -> None:
    """What is suggested in place of an illegal name is a legal one."""
    suggested = slug(text)

    assert not suggested or looks_like_a_key(suggested) or check_name(suggested) == suggested


@pytest.mark.parametrize(
    "name", ["a", "a.b", "_", "-", "0", "prod/a", "a/b/c/d", "a" * 255, "a_b-c.d", "a..b", "token-2026"]
)
def test_legal_names(name: str) -> None:
    """Lower-case letters, digits, `-`, `_` and `.` in segments, to 255 characters."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "A", "a b", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/.b", "a@1", "a#b", "a:b", "a\\b", "a\n", "a\0", "ä", "a" * 256,
        "aws-credentials/AKIAIOSFODNN7EXAMPLE", "\ud800", "a%2fb", "a?b", " a", "\N{FULLWIDTH LATIN SMALL LETTER A}",
    ],
)  # fmt: skip
def test_illegal_names(name: str) -> None:
    """Everything else is InvalidName."""
    with pytest.raises(InvalidName):
        check_name(name)


@pytest.mark.parametrize("thing", [None, 1, b"a", 1.5, True])
def test_what_is_no_text_is_no_name(thing: object) -> None:
    """A name is a string, and its type is told."""
    with pytest.raises(InvalidName, match=type(thing).__name__):
        check_name(thing)
    with pytest.raises(InvalidName):
        Reference.parse(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind", ["", "A", "a_b", "a/b", "-a", "a-", "a--b", "1a", "a.b", "a" * 65, "akiaiosfodnn7example", None, 5]
)
def test_illegal_kinds(kind: object) -> None:
    """A kind is kebab-case and begins with a letter."""
    with pytest.raises(InvalidName):
        check_kind(kind)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a/",
        "/b",
        "a/b@",
        "a/b@0",
        "a/b@01",
        "a/b@-1",
        "a/b@1@2",
        "a/b@x",
        "a/b#",
        "a/b#1",
        "a/b#c d",
        "a/b@1" + "0" * 18,
        "bondstone:/a/b",
        "bondstone://",
        "https://a/b",
        "a/b@1.0",
        "a/b@\N{SUPERSCRIPT TWO}",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    """A part that is missing or malformed is InvalidName."""
    with pytest.raises(InvalidName):
        Reference.parse(text)


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1", 10**18])
def test_what_is_no_version(version: object) -> None:
    """A version is a whole number from 1 that a reference can write."""
    with pytest.raises(InvalidName):
        Reference("a", "b", version)  # type: ignore[arg-type]


KEYS = [
    "ema_abcdefSENTINEL", "AKIASENTINEL12345678", "ghp_SENTINEL0123456789", "github_pat_SENTINEL", "glpat-SENTINEL", "xoxb-SENTINEL-1",
    "sk-proj-SENTINEL", "sk_live_SENTINEL", "eyJhbGciOiJIUzI1NiJ9.SENTINEL", "hvs.SENTINEL", "pnu_SENTINEL", "-----BEGIN RSA SENTINEL",
    "ema_abcdefsentinel", "ghp_sentinel0123", "hvs.sentinel", "prod/xoxb-sentinel", "akiasentinel12345678",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiSENTINELaBcD", "SENTINEL" * 20, "Ab3SENTINELxYz98765", "prod/ghp_SENTINEL0123", "a@ema_abcdefSENTINEL",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_pasted_key_is_not_echoed(key: str) -> None:
    """A key in the place of a name, kind, field or reference is refused, and its error does not hold it; nor does the audit log."""
    refusals: list[Callable[[], object]] = [
        lambda: check_name(key), lambda: check_kind(key), lambda: Reference.parse(key), lambda: Reference.parse(f"secret/{key}"),
        lambda: Reference.parse(f"secret/a@{key}"), lambda: Reference.parse(f"secret/a#{key} x"), lambda: Reference("secret", key),
    ]  # fmt: skip
    for refuse in refusals:
        with pytest.raises(InvalidName) as caught:
            refuse()
        assert "sentinel" not in str(caught.value).lower()
    assert "sentinel" not in for_the_record(key).lower()
    assert "sentinel" not in shown(key).lower()


@pytest.mark.parametrize("name", ["my token", "Reports 2026", "prod/DWH"])
def test_an_illegal_name_is_echoed_with_a_suggestion(name: str) -> None:
    """An ordinary mistake is shown, with the nearest legal name."""
    with pytest.raises(InvalidName) as caught:
        check_name(name)

    assert f"'{name}'" in str(caught.value)
    assert f"'{slug(name)}'" in str(caught.value)


@pytest.mark.parametrize(
    ("class_name", "kind"),
    [
        ("Secret", "secret"), ("AwsCredentials", "aws-credentials"), ("S3Bucket", "s3-bucket"), ("HTTPServer", "http-server"),
        ("ArraylakeToken", "arraylake-token"), ("My_Block", "my-block"), ("GCSBucket2", "gcs-bucket2"), ("A", "a"),
    ],
)  # fmt: skip
def test_kinds_of_classes(class_name: str, kind: str) -> None:
    """A kind is the kebab-case form of the class's name."""
    assert kebab(class_name) == kind
