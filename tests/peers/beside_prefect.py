"""The same done with Prefect's blocks and with bondstone's, and what came of it: the table of docs/coming-from-prefect.md.

Run by `python -m tests.peers.beside_prefect`, which prints the table. Each outcome is made from what was seen, none is written down.
"""

import json
import os
import pickle
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

TOKEN = "to-be-found-4711"

CASES = {
    "number": "Save `Secret` with the text `12e4567`, load it",
    "mask": "Dump a loaded secret as JSON, make a block of that, save it over the old one, load it",
    "lost_update": "Two load a block, each changes another field, both save it with `overwrite=True`",
    "typo": "Give a field that the class does not have (`pasword=`)",
    "mistyped": "Give a secret field a list with the token in it: `errors()` of what is raised",
    "pickle": "Pickle a loaded block",
    "result": "Return a loaded block from a task whose result is kept",
    "cache_of_unsaved": "Call a cached task with a secret that was not saved, then with another",
    "cache_of_changed": "Call a cached task with a loaded secret, and again when it was changed under its name",
    "deployment": "Deploy with a secret in `job_variables.env`: the deployment's row",
    "file": "Copy the database file to another machine, and nothing else",
    "swap": "Swap two secrets in the database, load the first",
    "replay": "Put a secret's older record back into the database, load it",
    "damage": "Damage one record of several, list all, delete the damaged one by name",
}


def seen(text: object) -> str:
    return "holds the token" if TOKEN in str(text) else "does not hold the token"


def came_of(call: Callable[[], Any]) -> str:
    """What it gave, or its error."""
    try:
        return f"`{call()!r}`"
    except Exception as error:  # noqa: BLE001 -- the outcome is what is asked for
        return f"`{type(error).__name__}`"


def at_database(path: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return [row for statement in statements for row in connection.execute(statement)]


def copied(path: Path, to: Path) -> Path:
    """All of an SQLite database, also what is still in its log."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def deployed(folder: Path, value: str) -> str:
    """What the row of a deployment holds, made by `prefect deploy` with `value` as an environment variable."""
    folder.mkdir(exist_ok=True)
    (folder / "flow.py").write_text("from prefect import flow\n\n@flow\ndef go() -> None: ...\n")
    deployment = {
        "name": folder.name,
        "entrypoint": "flow.py:go",
        "work_pool": {"name": "pool", "job_variables": {"env": {"TOKEN": value}}},
    }
    (folder / "prefect.yaml").write_text(json.dumps({"deployments": [deployment]}))
    for arguments in (
        ["work-pool", "create", "pool", "--type", "process", "--overwrite"],
        ["--no-prompt", "deploy", "--all"],
    ):
        command = [sys.executable, "-m", "prefect", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    query = f"SELECT infra_overrides FROM deployment WHERE name = '{folder.name}'"
    return seen(at_database(Path(os.environ["PREFECT_HOME"], "prefect.db"), query))


def cached(first: Callable[[], Any], second: Callable[[], Any]) -> str:
    """What a cached task gives for two secrets, one after the other. They end with a and b."""
    import prefect
    from prefect.cache_policies import INPUTS

    @prefect.task(cache_policy=INPUTS, persist_result=True)
    def last_letter(secret: Any) -> str:
        return str(secret.get())[-1]

    @prefect.flow
    def flow() -> list[str]:
        return [last_letter(first()), last_letter(second())]

    given = flow()
    assert given in (["a", "b"], ["a", "a"])
    return "each is given its own" if given[1] == "b" else "the second is given the first's"


def kept(load: Callable[[], Any]) -> str:
    """What a kept result of a task holds."""
    import prefect

    from bondstone.cli.demo.hunt import hunt

    give: Any = prefect.task(name="give", persist_result=True)(load)

    @prefect.flow
    def flow() -> None:
        give()

    flow()
    storage = Path(os.environ["PREFECT_HOME"], "storage")
    assert any(storage.iterdir())
    found = hunt({"token": TOKEN}, storage)
    shutil.rmtree(storage)
    return seen(TOKEN if found else "")


class Prefects:
    """Prefect's own blocks."""

    def __init__(self, folder: Path) -> None:
        from prefect.blocks.core import Block
        from prefect.blocks.system import Secret
        from pydantic import SecretStr

        class Login(Block):
            user: str
            password: SecretStr | None = None
            host: str = ""

        self.folder, self.database = folder, Path(os.environ["PREFECT_HOME"], "prefect.db")
        self.secret: Any = Secret  # its types leave open whether it is to be awaited
        self.login: Any = Login

    def save(self, name: str, value: Any) -> None:
        self.secret(value=value).save(name, overwrite=True)

    def data(self, name: str) -> str:
        return f"(SELECT data FROM block_document WHERE name = '{name}')"

    def number(self) -> str:
        self.save("number", "12e4567")
        return came_of(lambda: self.secret.load("number").get())

    def mask(self) -> str:
        self.save("mask", TOKEN)
        dumped = json.loads(self.secret.load("mask").model_dump_json())
        return came_of(lambda: (self.secret(**dumped).save("mask", overwrite=True), self.secret.load("mask").get())[1])

    def lost_update(self) -> str:
        self.login(user="u").save("login", overwrite=True)
        one, other = self.login.load("login"), self.login.load("login")
        one.user, other.host = "changed", "changed"
        one.save("login", overwrite=True)
        return both(came_of(lambda: other.save("login", overwrite=True) and None), self.login.load("login"))

    def typo(self) -> str:
        return came_of(lambda: self.login(user="u", pasword=TOKEN).password)

    def mistyped(self) -> str:
        return errors(lambda: self.login(user="u", password=[TOKEN]))

    def pickle(self) -> str:
        self.save("pickle", TOKEN)
        return seen(pickle.dumps(self.secret.load("pickle")))

    def result(self) -> str:
        self.save("result", TOKEN)
        return kept(lambda: self.secret.load("result"))

    def cache_of_unsaved(self) -> str:
        return cached(lambda: self.secret(value="of a"), lambda: self.secret(value="of b"))

    def cache_of_changed(self) -> str:
        self.save("cached", "now a")
        one = self.secret.load("cached")
        self.save("cached", "now b")
        return cached(lambda: one, lambda: self.secret.load("cached"))

    def deployment(self) -> str:
        self.save("deployed", TOKEN)
        return deployed(self.folder / "theirs", "{{ prefect.blocks.secret.deployed }}")

    def file(self) -> str:
        from cryptography.fernet import Fernet

        self.save("file", TOKEN)
        copy = copied(self.database, self.folder / "copy.db")
        [(key,)] = at_database(copy, "SELECT value FROM configuration WHERE key = 'ENCRYPTION_KEY'")
        [(data,)] = at_database(copy, f"SELECT {self.data('file')}")
        text = Fernet(json.loads(key)["fernet_key"]).decrypt(json.loads(data).encode()).decode()
        return f"{'the token is read: the key is in it' if TOKEN in text else 'nothing is read'}; {mode(self.database)}"

    def swap(self) -> str:
        self.save("alpha", "alpha's")
        self.save("beta", "beta's")
        at_database(self.database, f"UPDATE block_document SET data = {self.data('beta')} WHERE name = 'alpha'")
        return came_of(lambda: self.secret.load("alpha").get())

    def replay(self) -> str:
        self.save("replay", "revoked")
        [(data,)] = at_database(self.database, f"SELECT {self.data('replay')}")
        self.save("replay", "new")
        at_database(self.database, f"UPDATE block_document SET data = '{data}' WHERE name = 'replay'")
        return came_of(lambda: self.secret.load("replay").get())

    def damage(self) -> str:
        from prefect.client.orchestration import get_client

        at_database(self.database, "UPDATE block_document SET data = '\"gAAAAA\"' WHERE name = 'alpha'")
        with get_client(sync_client=True) as client:
            listed = came_of(
                lambda: (
                    len(client.request("POST", "/block_documents/filter", json={}).raise_for_status().json()) and None
                )
            )
        deleted = came_of(lambda: self.secret.delete("alpha"))
        return listed_and_deleted(listed, deleted)


class Bondstones:
    """Bondstone's."""

    def __init__(self, folder: Path) -> None:
        from bondstone.blocks import Block, Secret, SecretStr

        class BesideLogin(Block):
            user: str
            password: SecretStr | None = None
            host: str = ""

        self.folder, self.secret = folder, Secret
        self.login: Any = BesideLogin
        self.database = Path(os.environ["BONDSTONE_REGISTRY"].removeprefix("sqlite:///"))

    def save(self, name: str, value: Any) -> None:
        self.secret(value=value).save(name, overwrite=True)

    def number(self) -> str:
        self.save("number", "12e4567")
        return came_of(lambda: self.secret.load("number").get())

    def mask(self) -> str:
        self.save("mask", TOKEN)
        dumped = json.loads(self.secret.load("mask").model_dump_json())
        return came_of(lambda: (self.secret(**dumped).save("mask", overwrite=True), self.secret.load("mask").get())[1])

    def lost_update(self) -> str:
        self.login(user="u").save("login", overwrite=True)
        one = self.login.load("login").model_copy(update={"user": "changed"})
        other = self.login.load("login").model_copy(update={"host": "changed"})
        one.save("login", overwrite=True)
        return both(came_of(lambda: other.save("login", overwrite=True)), self.login.load("login"))

    def typo(self) -> str:
        return came_of(lambda: self.login(user="u", pasword=TOKEN).password)

    def mistyped(self) -> str:
        return errors(lambda: self.login(user="u", password=[TOKEN]))

    def pickle(self) -> str:
        self.save("pickle", TOKEN)
        return seen(pickle.dumps(self.secret.load("pickle")))

    def result(self) -> str:
        self.save("result", TOKEN)
        return kept(lambda: self.secret.load("result"))

    def cache_of_unsaved(self) -> str:
        return cached(lambda: self.secret(value="of a"), lambda: self.secret(value="of b"))

    def cache_of_changed(self) -> str:
        self.save("cached", "now a")
        one = self.secret.load("cached")
        self.save("cached", "now b")
        return cached(lambda: one, lambda: self.secret.load("cached"))

    def deployment(self) -> str:
        self.save("deployed", TOKEN)
        return deployed(self.folder / "ours", "bondstone://secret/deployed")

    def file(self) -> str:
        self.save("file", TOKEN)
        copy = copied(self.database, self.folder / "copy-of-ours.db")
        code = "from bondstone.blocks import Secret; print(Secret.load('file').get())"
        env = {**os.environ, "HOME": str(self.folder / "elsewhere"), "BONDSTONE_REGISTRY": f"sqlite:///{copy}"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
        text = (
            "the token is read"
            if TOKEN in done.stdout
            else f"`{done.stderr.splitlines()[-1].split(':')[0].split('.')[-1]}`"
        )
        return f"{text}; {mode(self.database)}"

    def swap(self) -> str:
        self.save("alpha", "alpha's")
        self.save("beta", "beta's")
        other = "(SELECT sealed FROM versions WHERE name = 'beta')"
        at_database(self.database, f"UPDATE versions SET sealed = {other} WHERE name = 'alpha'")
        return came_of(lambda: self.secret.load("alpha").get())

    def replay(self) -> str:
        self.save("replay", "revoked")
        rows = "SELECT generation, current, previous, pending, highest, deleted_through, changed_at, tag FROM heads"
        [old] = at_database(self.database, f"{rows} WHERE name = 'replay'")
        self.save("replay", "new")
        with closing(sqlite3.connect(self.database)) as connection, connection:
            columns = (
                "generation",
                "current",
                "previous",
                "pending",
                "highest",
                "deleted_through",
                "changed_at",
                "tag",
            )
            for column, value in zip(columns, old, strict=True):
                connection.execute(f"UPDATE heads SET {column} = ? WHERE name = 'replay'", [value])
        return came_of(lambda: self.secret.load("replay").get())

    def damage(self) -> str:
        self.swap()  # alpha does not open any more
        listed = came_of(lambda: None if "alpha" in self.secret.names() else "not all")
        return listed_and_deleted(listed, came_of(lambda: self.secret.delete("alpha")))


def both(outcome: str, now: Any) -> str:
    told = "the second is told nothing" if outcome == "`None`" else f"the second is told `{outcome.strip('`')}`"
    return f"{told}, {'the first change is lost' if now.user == 'u' else 'the first change stays'}"


def errors(call: Callable[[], Any]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- the outcome is what is asked for
        details: Any = getattr(error, "errors", lambda: "")
        return f"`{type(error).__name__}` {seen(f'{error} {error!r} {details()}')}"
    return "accepted"


def mode(path: Path) -> str:
    return f"mode {stat.S_IMODE(path.stat().st_mode):04o}"


def listed_and_deleted(listed: str, deleted: str) -> str:
    """`None` is what went well."""
    return f"listing: {'all names' if listed == '`None`' else listed}, deleting: {'done' if deleted == '`None`' else deleted}"


WITH_PREFECT = (
    "result",
    "cache_of_unsaved",
    "cache_of_changed",
    "deployment",
)  # those where bondstone's runs in Prefect too


def outcomes(folder: Path) -> dict[str, tuple[str, str]]:
    """By case: Prefect's, and bondstone's."""
    from bondstone.cli.demo.prefect_home import prefect_home

    os.umask(0o022)  # the usual one, whatever the caller's is
    with prefect_home(folder):
        theirs, ours = Prefects(folder), Bondstones(folder)
        return {case: (getattr(theirs, case)(), getattr(ours, case)()) for case in CASES}


def table(found: dict[str, tuple[str, str]]) -> str:
    from importlib.metadata import version

    lines = [f"| what was done | Prefect {version('prefect')} | bondstone |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {CASES[case]} | {theirs} | {ours} |" for case, (theirs, ours) in found.items())])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HOME": folder, "BONDSTONE_REGISTRY": f"sqlite:///{folder}/registry.db"}
        print(table(outcomes(Path(folder))))  # noqa: T201 -- its output
