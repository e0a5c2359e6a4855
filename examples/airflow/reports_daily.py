"""A daily report under Airflow, whose connection, variable and bucket are blocks (docs/engines-airflow-dagster.md).

bondstone save database-credentials/dwh drivername=sqlite database=/srv/dwh.db
bondstone save secret/report-title value=-
airflow dags test reports_daily
"""

from datetime import UTC, datetime
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseHook, Variable

from bondstone.integrations.notify import Notify
from bondstone.integrations.s3 import S3Upload


def report(ds: str) -> str:
    """A page of text. What is returned is kept by Airflow: the place and the version, no value."""
    connection: Any = BaseHook.get_connection("dwh")
    text = f"{Variable.get('report-title')}, {ds}: from {connection.conn_type} by {connection.login}\n"
    return str(S3Upload("reports")(text.encode(), key=f"{ds}/report.txt"))


with DAG(
    "reports_daily",
    schedule="@daily",
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    catchup=False,
    default_args={"on_failure_callback": Notify("alerts", deadline=10)},
):
    first = PythonOperator(task_id="report", python_callable=report)
    done = PythonOperator(  # a task of bondstone's as it is
        task_id="mark", python_callable=S3Upload("reports"), op_args=[b"done\n"], op_kwargs={"key": "{{ ds }}/done"}
    )
    first >> done
