"""A program that knows nothing of bondstone: it takes its token from the environment, as `bondstone run` gives it."""

import os

import httpx

answer = httpx.get(os.environ["API_URL"], headers={"Authorization": f"Bearer {os.environ['API_TOKEN']}"}, timeout=30)
print(answer.raise_for_status().text)
