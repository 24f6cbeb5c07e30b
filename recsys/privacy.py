"""Removes credentials and local paths from reports, bundles, trackers and errors."""

import re
from pathlib import Path
from typing import Any


def without_credentials(text: str) -> str:
    """A text of many words whose URLs lose user name and password."""
    return re.sub(r"://[^/\s]*@", "://", text)


def for_others(value: Any) -> Any:
    """A configuration, or a value of one, whose URLs lose user name and password and whose absolute
    paths lose their folders.
    """
    if isinstance(value, dict):
        return {key: for_others(each) for key, each in value.items()}
    if isinstance(value, list):
        return [for_others(each) for each in value]
    if not isinstance(value, str):
        return value
    # a password may contain a space, and here the value ends where the string does
    return Path(value).name if Path(value).is_absolute() else re.sub(r"://[^/]*@", "://", value)
