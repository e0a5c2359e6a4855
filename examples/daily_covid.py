"""Daily COVID-19 figures of some countries: download once a day, sum up by month, upload as a table; tell somebody if it fails.

Save the blocks once (`bondstone save s3-bucket/reports`, `bondstone save http-webhook/alerts`), then run

    python examples/daily_covid.py URL --countries Germany France             # under Prefect, with the graph of the run
    python examples/daily_covid.py URL --countries Germany France --plain     # in plain Python
    python examples/daily_covid.py URL --countries Germany France --serve     # every day at 7, until it is stopped

URL gives JSON as the ECDC published it: `records` with `dateRep` (dd/mm/YYYY), `cases`, `deaths`, `countriesAndTerritories`.
"""

import argparse
import json
import urllib.request
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from bondstone.integrations.notify import Notify
from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3 import S3Upload

Records = list[dict[str, Any]]
CRON = "0 7 * * *"


def download(url: str, day: date) -> Records:
    """The records that `url` gives; `day` is for the caches, so that there is one download a day."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 -- the user's own URL
        records: Records = json.load(answer)["records"]
    return records


def of_countries(records: Records, countries: list[str]) -> Records:
    """Raises `ValueError` for a country that is in none of them."""
    if unknown := set(countries) - {record["countriesAndTerritories"] for record in records}:
        raise ValueError(f"no records of {', '.join(sorted(unknown))}")
    return [record for record in records if record["countriesAndTerritories"] in countries]


def by_month(records: Records) -> pd.DataFrame:
    """Columns `year_month` (YYYY-MM), `cases`, `deaths`; the countries together."""
    frame = pd.DataFrame(records)
    month = pd.to_datetime(frame.dateRep, format="%d/%m/%Y").dt.strftime("%Y-%m").rename("year_month")
    return frame.groupby(month)[["cases", "deaths"]].sum().reset_index()


def key(now: datetime) -> str:
    """Where the table goes."""
    return f"covid-monthly-{now:%Y-%m-%dT%H%M%S}.csv"


# --- in plain Python


def downloaded_today(url: str, day: date) -> Records:
    """From the file of the day, if there is one."""
    file = Path(f"covid-{day}.json")
    if not file.exists():
        part = file.with_suffix(".part")
        part.write_text(json.dumps(download(url, day)))
        part.rename(file)
    records: Records = json.loads(file.read_text())
    return records


def plainly(url: str, countries: list[str], bucket: str, alerts: str) -> ObjectReceipt:
    """The same steps. A failure is told and raised."""
    try:
        table = by_month(of_countries(downloaded_today(url, datetime.now(UTC).date()), countries))
        return S3Upload(bucket)(table, key=key(datetime.now(UTC)))
    except Exception as error:
        Notify(alerts)(f"daily-covid failed: {type(error).__name__}")
        raise


# --- under Prefect


def flow(bucket: str, alerts: str) -> Any:
    """The flow, whose parameters are `url` and `countries`."""
    import prefect
    from prefect.cache_policies import INPUTS

    task: Any = prefect.task  # its types know no options beside a callable
    day = timedelta(days=1)
    fetch = task(download, cache_policy=INPUTS, cache_expiration=day, persist_result=True, retries=2)
    choose, aggregate = task(of_countries), task(by_month)
    upload = task(S3Upload(bucket), retries=3)

    hook: Any = Notify(alerts)  # a callable; Prefect's types want its parameters named

    @prefect.flow(name="daily-covid", on_failure=[hook])
    def daily_covid(url: str, countries: list[str]) -> ObjectReceipt:
        now = datetime.now(UTC)
        table = aggregate(choose(fetch(url, now.date()), countries))
        receipt: ObjectReceipt = upload(table, key=key(now))
        return receipt

    return daily_covid


def drawn(run_id: Any) -> str:
    """The graph of a run, as Prefect's server has it, in the language of Mermaid."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        graph = client.request("GET", "/flow_runs/{id}/graph-v2", path_params={"id": run_id}).json()
    names = {node: f"{node[-8:]}[{item['label']}]" for node, item in graph["nodes"]}
    edges = {f"  {names[node]} --> {names[child['id']]}" for node, item in graph["nodes"] for child in item["children"]}
    return "\n".join(["flowchart LR", *sorted(edges)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--countries", nargs="+", required=True)
    parser.add_argument("--bucket", default="reports", help="an S3Bucket block")
    parser.add_argument("--alerts", default="alerts", help="an HttpWebhook block")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if given.plain:
        print(plainly(given.url, given.countries, given.bucket, given.alerts))
        return
    covid, parameters = flow(given.bucket, given.alerts), {"url": given.url, "countries": given.countries}
    if given.serve:
        covid.serve("daily", cron=CRON, parameters=parameters)
        return
    state = covid(**parameters, return_state=True)
    print(drawn(state.state_details.flow_run_id))
    print(state.result())


if __name__ == "__main__":
    main()
