"""Versions come oldest first, whatever pages a store cuts its list into."""

import datetime
from typing import Any

from mlops_stack.backup import objects

_BEGIN = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)


def _version(
    key: str, number: int, *, latest: bool = False, marker: bool = False
) -> dict[str, Any]:
    return {
        "Key": key,
        "VersionId": f"{key}{number}",
        # Several in the same second, as a store rounds it.
        "LastModified": _BEGIN + datetime.timedelta(seconds=number // 2),
        "IsLatest": latest,
        **({} if marker else {"Size": number}),
    }


def _ids(pages: list[dict[str, Any]]) -> list[str]:
    return [found["VersionId"] for found in objects._in_order(pages)]


def test_a_key_whose_versions_are_on_two_pages_stays_together() -> None:
    pages = [
        {
            "Versions": [_version("a", 4, latest=True), _version("b", 7), _version("b", 6)],
            "DeleteMarkers": [_version("b", 8, latest=True, marker=True)],
            "IsTruncated": True,
            "NextKeyMarker": "b",
        },
        # The gateway begins a page with the end of the one before.
        {"Versions": [_version("b", 6), _version("b", 3), _version("c", 0, latest=True)]},
    ]
    assert _ids(pages) == ["a4", "b3", "b6", "b7", "b8", "c0"]


def test_the_latest_is_last_even_in_the_same_second() -> None:
    page = {
        "Versions": [_version("a", 1, latest=True)],
        "DeleteMarkers": [_version("a", 0, marker=True)],
    }
    assert _ids([page]) == ["a0", "a1"]
