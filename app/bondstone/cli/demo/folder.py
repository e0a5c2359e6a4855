"""The demo's folder: everything it makes lies in it, and a second run begins anew."""

import os
import shutil
from pathlib import Path

from bondstone.blocks import InvalidSettings

_MARK = ".bondstone-demo"


def prepared(folder: Path) -> Path:
    """An empty folder, with the demo's registry and key as this process's own.

    Raises `InvalidSettings` rather than delete what is not the demo's.
    """
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise InvalidSettings(f"{folder} holds something else: choose another folder with --folder")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700)
    (folder / _MARK).touch()
    for name in [name for name in os.environ if name.startswith("BONDSTONE_")]:
        del os.environ[name]
    os.environ["BONDSTONE_REGISTRY"] = f"sqlite:///{folder}/registry/registry.db"
    os.environ["BONDSTONE_KEY_FILE"] = f"{folder}/key/key"
    return folder
