"""The generated pages of `docs/reference`. A module here with a function `pages` adds its own; ``make reference`` writes them."""

import importlib
import pkgutil

NOTICE = "<!-- Made from the source by `make reference`: change that, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """The text of every page, by its path below `docs/reference`."""
    made: dict[str, str] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name != "__main__":
            made |= importlib.import_module(f"{__name__}.{module.name}").pages()
    return {"README.md": _index(made)} | made


def _index(made: dict[str, str]) -> str:
    lines = [f"- [{_title(text)}]({path})" for path, text in sorted(made.items())]
    return NOTICE + "# Reference\n\nWhat the program says of itself.\n\n" + "\n".join(lines) + "\n"


def _title(text: str) -> str:
    return next(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))


def cell(text: str) -> str:
    """`text` as it may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")
