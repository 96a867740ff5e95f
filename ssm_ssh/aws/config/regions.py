"""The regions that AWS had when the installed botocore was released: for suggestions, never to refuse a name."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path


def suggestion(region: str) -> str:
    """Return a question that names what an unknown `region` resembles; "" for a known region, or where none does."""
    from ssm_ssh.suggest import did_you_mean

    known = known_regions()
    return "" if region in known else did_you_mean(region, known)


def known_regions() -> tuple[str, ...]:
    """Return the names of all regions, sorted; empty where botocore's list cannot be read.

    The list is read from botocore's data without importing botocore, which takes a tenth of a second.
    """
    try:
        package = importlib.util.find_spec("botocore")
        folders = package.submodule_search_locations if package else None
        if not folders:
            return ()
        data = json.loads(Path(folders[0], "data", "partitions.json").read_text(encoding="utf-8"))
        names = {name for partition in data["partitions"] for name in partition["regions"]}
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return ()
    return tuple(sorted(name for name in names if not name.endswith("-global")))
