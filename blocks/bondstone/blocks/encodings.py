"""What a secret looks like where it leaks: raw, or as some program wrote it down."""

import base64
import json
from contextlib import suppress
from urllib.parse import quote, quote_plus

SHORTEST = 8  # bytes; less is found by chance


def encodings(value: str | bytes) -> dict[str, bytes]:
    """The forms of `value`, by the name of the encoding; forms that are the same as another are left out.

    Raises `ValueError` for a value of less than 8 bytes.
    """
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if len(raw) < SHORTEST:
        raise ValueError(f"a secret of less than {SHORTEST} bytes would be found everywhere")
    forms = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    for shift in range(3):
        forms[f"base64+{shift}"] = form = _base64(raw, shift)
        forms[f"base64url+{shift}"] = form.translate(bytes.maketrans(b"+/", b"-_"))
    forms |= {"url": quote(raw, safe="").encode(), "path": quote(raw).encode(), "form": quote_plus(raw).encode()}
    forms["bytes"] = repr(raw)[2:-1].encode()
    with suppress(UnicodeDecodeError):
        forms |= _of_text(raw.decode())
    return {name: form for form, name in {form: name for name, form in reversed(forms.items())}.items()}


def _of_text(text: str) -> dict[str, bytes]:
    once = json.dumps(text)[1:-1]
    forms = {"json": once, "json, unicode": json.dumps(text, ensure_ascii=False)[1:-1]}
    forms |= {"json in json": json.dumps(once)[1:-1], "repr": repr(text)[1:-1]}
    wide = {how: text.encode(how) for how in ("utf-16-le", "utf-16-be")}
    shown = {f"{how}, shown": repr(form)[2:-1] for how, form in wide.items()}
    return {name: form.encode() for name, form in (forms | shown).items()} | wide


def _base64(raw: bytes, shift: int) -> bytes:
    """What base64 makes of `raw` when it begins `shift` bytes into a group of three, whatever stands before and behind it."""
    text = base64.b64encode(bytes(shift) + raw)
    behind = {0: 0, 1: 3, 2: 2}[(shift + len(raw)) % 3]
    return text[(0, 2, 3)[shift] : len(text) - behind]
