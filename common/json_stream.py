"""A JSON document that is too long to be put together in memory, as a download."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse


def as_download(parts: Iterable[str], *, file_name: str) -> StreamingHttpResponse:
    """Return the answer that sends `parts`, one after the other, as a file.

    :param parts: pieces of one JSON document, made while they are sent.
    :param file_name: of letters, digits, dots and dashes.
    """
    response = StreamingHttpResponse(_encoded(parts), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["Cache-Control"] = "no-store"
    return response


def _encoded(parts: Iterable[str]) -> Iterator[bytes]:
    for part in parts:
        yield part.encode()
