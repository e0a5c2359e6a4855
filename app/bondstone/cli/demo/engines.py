"""The same flow under Prefect, on Dask workers, or in plain Python."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bondstone.cli.demo.flow import ocean
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import Receipt

Engine = Literal["prefect", "dask", "plain"]
Run = Callable[[str, str], list[Receipt]]  # source, edition -> receipts


@contextmanager
def engine(name: Engine, folder: Path) -> Iterator[Run]:
    """A callable that runs the flow under the engine, which is started here and stopped at the end of the block."""
    with {"prefect": _prefect, "dask": _dask, "plain": _plain}[name](folder) as run:
        yield run


@contextmanager
def _plain(folder: Path) -> Iterator[Run]:
    yield ocean


@contextmanager
def _prefect(folder: Path) -> Iterator[Run]:
    need("prefect.main", "prefect")
    from bondstone.cli.demo.prefect_home import prefect_home

    with prefect_home(folder):
        import prefect

        @prefect.flow(name="ocean")
        def flow(source: str, edition: str) -> list[Receipt]:
            return ocean(source, edition, task=partial(prefect.task, retries=2))

        yield flow


@contextmanager
def _dask(folder: Path) -> Iterator[Run]:
    distributed = need("distributed", "dask")
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(local_directory=str(folder / "dask"), **options) as cluster,
        distributed.Client(cluster) as client,
    ):

        def task(step: Callable[..., Any]) -> Callable[..., Any]:
            # `submit` takes `key` for itself, so the step's own arguments are bound first
            return lambda *args, **kwargs: client.submit(partial(step, *args, **kwargs), pure=False).result()

        yield partial(ocean, task=task)
