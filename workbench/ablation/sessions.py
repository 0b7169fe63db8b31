"""Whether a run was one session, as far as its log tells: results of before did not keep the time of earlier sessions."""

import json
from pathlib import Path


def ran_at_once(log: Path, seconds: float, *, steps: int, batch: int) -> bool:
    """Whether `seconds` can be the time of the whole run that wrote the log.

    It cannot where steps were logged twice, or where it is less than what the steps take at the log's own rate.
    """
    try:
        lines = list(map(json.loads, log.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError):
        return False
    trained = [line for line in lines if line.get("split") == "train"]
    logged = [line["step"] for line in trained]
    if not logged or logged != sorted(set(logged)) or logged[-1] != steps:
        return False
    return seconds >= steps * batch / trained[-1]["samples_per_second"]
