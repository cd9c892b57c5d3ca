"""URLs of databases out of files: `DATABASE_URL_FILE` names one that holds `DATABASE_URL`. Pure.

A process cannot be given another environment, but a file can be replaced, and whatever starts next
reads it. So passwords change without anybody waiting (docs/guides/rotating-credentials.md), and
none stands in an environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from databases.pools import ConfigurationRefused

_NAME = re.compile(r"([A-Z0-9_]*DATABASE_URL|CACHE_STORAGE_POSTGRES_URL)_FILE")


def with_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the URLs that stand in files.

    :raises ConfigurationRefused: naming the variable, where its file cannot be read or holds
        nothing, or where the URL is set as well.
    """
    found = dict(environ)
    for variable, path in environ.items():
        named = _NAME.fullmatch(variable)
        if named is None or not path.strip():
            continue
        if environ.get(named[1], "").strip():
            raise ConfigurationRefused(f"{named[1]} and {variable} are both set. Unset one.")
        found[named[1]] = _content(variable, path.strip())
    return found


def _content(variable: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationRefused(f"{variable} names a file that cannot be read.") from None
    if not text:
        raise ConfigurationRefused(f"{variable} names a file that is empty.")
    return text
