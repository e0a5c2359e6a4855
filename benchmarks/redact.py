"""What it costs to mask 1,000 secrets in a line of a log, beside the ways that come to mind first.

Run it by ``make bench-redact``. Medians of rounds in which every line is measured, one after the other; read the ratios.
"""

import argparse
import re
import secrets
import time
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from bondstone.blocks.encodings import encodings
from bondstone.blocks.redactor import Redactor
from bondstone.blocks.secret_values import MASK

LINE = (
    "2026-11-21 18:00:00,123 INFO worker-3 flow run 'loud-heron' task S3Upload-12 uploaded s3://reports/2026/seasonal.csv "
    "with etag 9a0364b9e99bb480dd25e1f0284c8555 in 0.21 s by aws-credentials/prod@7, 1.2 MB in all"
)


def ways(values: list[str]) -> dict[str, Callable[[str], str]]:
    """How to mask all of `values`, in all encodings, by name."""
    forms = sorted({form.decode("latin-1") for value in values for form in encodings(value).values()}, key=len)
    pattern = re.compile("|".join(map(re.escape, reversed(forms))))

    def replaced(text: str) -> str:
        for form in forms:
            text = text.replace(form, MASK)
        return text

    return {
        "bondstone": Redactor(lambda: list(values), lambda: len(values)),
        "str.replace, form by form": replaced,
        "one regular expression": lambda text: pattern.sub(MASK, text),
    }


def seconds(call: Callable[[str], str], line: str, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call(line)
    return (time.perf_counter() - start) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    values = [secrets.token_urlsafe(24) for _ in range(1000)]
    lines = {"without a secret": LINE, "with one": f"{LINE[:90]}{values[500]}{LINE[90:]}"}
    known, table = ways(values), Table("200 characters, 1,000 secrets", "without a secret", "with one", "ratio")
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, call in known.items():
            for what, line in lines.items():
                assert (values[500] in line) == (MASK in call(line))
                taken.setdefault((name, what), []).append(seconds(call, line, 500 if name == "bondstone" else 3))
    floor = median(taken["bondstone", "without a secret"])
    for name in known:
        first, second = (median(taken[name, what]) for what in lines)
        table.add_row(name, f"{first * 1e6:,.1f} µs", f"{second * 1e6:,.1f} µs", f"{first / floor:,.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
