"""The budget's alarm: a message in a queue becomes the flag that stops launches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsstpipe.cluster.head import BUDGET_FLAG
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import TemporaryError

_WAIT_S = 20  # the longest that SQS takes (SQS API, ReceiveMessage, WaitTimeSeconds)


def heed_budget(queue_url: str, region: str, folder: Path, wait_s: int = _WAIT_S) -> bool:
    """Wait for a message that the budget is spent, and put the flag.

    The flag is on the disk before the message leaves the queue, so that none is lost. It stays
    until a person removes it.

    Parameters
    ----------
    queue_url, region
        The queue that AWS Budgets writes to.
    folder
        Of the cluster's state; the flag is in it.
    wait_s
        How long to wait, at most 20 s.

    Returns
    -------
    bool
        Whether there was a message.

    Raises
    ------
    TemporaryError
        If the queue cannot be read.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client: Any = boto3.client("sqs", region_name=region)
    try:
        answer = client.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s
        )
        messages = answer.get("Messages", [])
        if messages:
            text = "\n".join(message["Body"] for message in messages)
            write_atomically(folder / BUDGET_FLAG, f"{text}\n".encode())
        for message in messages:
            client.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    except (BotoCoreError, ClientError) as error:
        raise TemporaryError(f"The queue of the budget cannot be read: {error}.") from error
    finally:
        client.close()
    return bool(messages)
