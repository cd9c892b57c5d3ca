"""What may be written: 1 to 4,000 characters, none of them control characters; http(s) links."""

from __future__ import annotations

import unicodedata
from typing import Final
from urllib.parse import urlsplit

from common.errors import PolystoreError
from messaging.models import LONGEST_CONTENT, LONGEST_NAME, LONGEST_URL

_ALLOWED: Final = frozenset("\n\t")


class MessageInvalid(PolystoreError):
    """A message cannot be taken as it is."""

    code, status, title = "messaging.message_invalid", 422, "Invalid message"
    remedy = "Send 1 to 4,000 characters without control characters, and links with http or https."


def content_of(text: str) -> str:
    """Return the text as it is kept. Raises MessageInvalid."""
    text = text.replace("\r\n", "\n")
    if not text.strip():
        raise MessageInvalid("A message has at least one character that is not white space.")
    if len(text) > LONGEST_CONTENT:
        raise MessageInvalid(f"A message has at most {LONGEST_CONTENT} characters.")
    _refuse_control_characters(text, allowed=_ALLOWED)
    return text


def file_url_of(text: str | None) -> str:
    """Return the link as it is kept, "" for none. Raises MessageInvalid."""
    if not text:
        return ""
    if len(text) > LONGEST_URL:
        raise MessageInvalid(f"A link has at most {LONGEST_URL} characters.")
    _refuse_control_characters(text, allowed=frozenset())
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and " " not in text
    except ValueError:
        sound = False
    if not sound:
        raise MessageInvalid("A link begins with http:// or https:// and names a host.")
    return text


def name_of(text: str) -> str:
    """Return the name of a server, channel or conversation as it is kept. Raises MessageInvalid."""
    text = " ".join(text.split())
    if len(text) > LONGEST_NAME:
        raise MessageInvalid(f"A name has at most {LONGEST_NAME} characters.")
    _refuse_control_characters(text, allowed=frozenset())
    return text


def _refuse_control_characters(text: str, *, allowed: frozenset[str]) -> None:
    # Cc: controls; Cs: halves of surrogate pairs, which no store can keep.
    if any(unicodedata.category(one) in {"Cc", "Cs"} and one not in allowed for one in text):
        raise MessageInvalid("A text holds a control character.")
