"""The function's job as a minimal Python handler: keys out of an S3 notification, direct or in SQS messages, one POST a hundred.

No scopes, no retries, no pacing, no dead letters: it is here to be measured, with as little as the job can be done with.
"""

import json
import os
from urllib.parse import unquote_plus

import boto3
import urllib3

http = urllib3.PoolManager()
secret = json.loads(
    boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["CONNECTOR_SECRET_IDS"])["SecretString"]
)
url = os.environ["FLEXORCH_BASE_URL"] + "/data-process/async"


def handler(event, context):
    records = [
        record
        for message in event["Records"]
        for record in (json.loads(message["body"])["Records"] if "body" in message else [message])
    ]
    keys = [unquote_plus(record["s3"]["object"]["key"]) for record in records]
    for start in range(0, len(keys), 100):
        body = {"source": {"connector_id": secret["connector_id"], "keys": keys[start : start + 100]}}
        answer = http.request("POST", url, json=body, headers={"X-API-KEY": secret["api_key"]})
        if answer.status >= 300:
            raise RuntimeError(f"FlexOrch answered {answer.status}")
    return {"batchItemFailures": []}
