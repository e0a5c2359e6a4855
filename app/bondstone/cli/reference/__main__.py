"""``python -m bondstone.cli.reference`` writes the pages into docs/reference; with ``--check`` it tells which of them are stale."""

import sys
from pathlib import Path

from bondstone.cli.reference import pages

FOLDER = Path("docs/reference")


def main(arguments: list[str]) -> int:
    if not FOLDER.parent.is_dir():
        sys.exit("there is no folder docs here: run 'make reference' at the top of a checkout")
    made = {FOLDER / path: text for path, text in pages().items()}
    there = {path: path.read_text() for path in FOLDER.rglob("*.md")}
    stale = sorted(str(path) for path in made.keys() | there.keys() if made.get(path) != there.get(path))
    if arguments == ["--check"]:
        sys.stderr.writelines(f"{path} is stale: run 'make reference'\n" for path in stale)
        return bool(stale)
    for path in there.keys() - made.keys():
        path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


sys.exit(main(sys.argv[1:]))
