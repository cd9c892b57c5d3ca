"""Alerts: what an operator should know at once, by e-mail to ADMINS and to a webhook.

Any part of the site raises one with `raise_alert`, when something fails and again, with
`recovered=True`, when it is well::

    raise_alert(
        code="outbox.lag", severity="critical", title="Events wait too long",
        detail="The oldest has waited 70 s.",
    )

At most one message is sent per change of state over all processes, never from a request's own
thread. Titles and details hold no secrets and no personal data: they leave the house.
"""

from __future__ import annotations

from databases.alerts.message import Alert, Severity
from databases.alerts.raising import raise_alert

__all__ = ["Alert", "Severity", "raise_alert"]
