"""The one family of errors that people see: what happened, a stable code, and what to do next."""

from __future__ import annotations


class PolystoreError(Exception):
    """Base of every error that the project raises on purpose.

    Subclasses set `code` (stable, for programs), `status` (HTTP) and `remedy` (one sentence that
    says what to do next). The message says what happened; it never holds a secret.
    """

    code: str = "error"
    status: int = 400
    title: str = ""
    remedy: str = ""
    retry_after: int | None = None
    """Seconds after which it is worth trying again; becomes the header Retry-After."""

    @property
    def challenge(self) -> str:
        """What the header WWW-Authenticate says; "" leaves it out."""
        return 'Bearer realm="polystore"' if self.status == 401 else ""

    def __init__(self, detail: str = "", **extensions: object) -> None:
        """Keep `detail` for people and `extensions` as further members of the problem document."""
        super().__init__(detail or self.title or type(self).__name__)
        self.detail = detail or self.title or type(self).__name__
        self.extensions = extensions
