"""Error reports to a Sentry-compatible service: off unless SENTRY_DSN is set, scrubbed always."""

from __future__ import annotations

from typing import Any, Final

from common.redaction import MASK, redact, redact_value
from common.tracing import current

_DROPPED_OF_REQUESTS: Final = ("query_string", "data", "cookies", "env")
_KEPT_HEADERS: Final = frozenset({"Accept", "Content-Type", "Content-Length", "User-Agent"})


def start(*, dsn: str, environment: str, release: str) -> None:
    """Report uncaught exceptions to `dsn` from now on."""
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=environment or None,
        release=release or None,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        traces_sample_rate=None,
        before_send=scrub,  # type: ignore[arg-type]  # an event is a plain dict
    )


def scrub(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """Return the event without personal data and secrets, with the request id as a tag."""
    request = event.get("request")
    if isinstance(request, dict):
        for key in _DROPPED_OF_REQUESTS:
            request.pop(key, None)
        headers = request.get("headers") or {}
        request["headers"] = {
            name: value if name in _KEPT_HEADERS else MASK for name, value in headers.items()
        }
        request["url"] = str(request.get("url", "")).partition("?")[0]
    event.pop("user", None)
    for value in (event.get("exception") or {}).get("values") or []:
        value["value"] = redact(str(value.get("value", "")))
    for key in ("logentry", "extra", "contexts"):
        if key in event:
            event[key] = redact_value(event[key])
    if trace := current():
        event.setdefault("tags", {})["request_id"] = trace.request_id
    return event
