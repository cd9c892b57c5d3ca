"""One alert, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.conf import settings

from common.redaction import redact

Severity = Literal["warning", "critical"]
State = Literal["failed", "recovered"]
TITLE_LENGTH = 120
DETAIL_LENGTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A change of state that people are told of."""

    code: str
    severity: Severity
    title: str
    detail: str
    store: str
    """Which store it is about, or an empty string."""
    state: State
    at: datetime

    @property
    def key(self) -> str:
        """Return what the alert is about: of each key, only changes are told."""
        return f"{self.code}:{self.store}"

    def subject(self) -> str:
        """Return the subject of the e-mail, in one line."""
        kind = "recovered" if self.state == "recovered" else self.severity
        return f"{settings.EMAIL_SUBJECT_PREFIX}{kind}: {self.title}"

    def body(self) -> str:
        """Return the text of the e-mail."""
        facts = {
            "Site": _site(),
            "State": self.state,
            "Severity": self.severity,
            "Store": self.store,
            "Code": self.code,
            "At": self.at.isoformat(timespec="seconds"),
        }
        lines = [f"{name}: {value}" for name, value in facts.items() if value]
        return "\n".join([self.detail, "", *lines, ""])

    def document(self) -> dict[str, Any]:
        """Return the webhook's JSON; `text` is what chat services show."""
        return {
            "text": f"{self.subject()}\n{self.detail}",
            "code": self.code,
            "severity": self.severity,
            "state": self.state,
            "title": self.title,
            "detail": self.detail,
            "store": self.store or None,
            "site": _site() or None,
            "at": self.at.isoformat(timespec="seconds"),
        }


def cleaned(text: str, *, length: int) -> str:
    """Return `text` in one line, without what looks like a secret, cut to `length`."""
    line = " ".join(redact(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _site() -> str:
    """Return the first host name of the site: several sites may alert the same people."""
    return next((host for host in settings.ALLOWED_HOSTS if host != "*"), "")
