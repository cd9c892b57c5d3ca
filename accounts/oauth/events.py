"""What happens to clients and tokens, told for the audit trail. No event holds a secret."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from accounts.audit import acting
from outbox.recording import record_event
from outbox.registry import NobodySubscribed

logger = logging.getLogger("accounts.oauth")

CLIENT: Final = "client"
TOKEN: Final = "token"

CLIENT_CREATED: Final = "client.created"
CLIENT_CHANGED: Final = "client.changed"
CLIENT_DELETED: Final = "client.deleted"
CLIENT_SECRET_CHANGED: Final = "client.secret_changed"
TOKEN_ISSUED: Final = "token.issued"
TOKEN_REVOKED: Final = "token.revoked"
TOKEN_REUSE_DETECTED: Final = "token.reuse_detected"


def tell(event_type: str, aggregate_id: UUID, payload: Mapping[str, Any]) -> None:
    """Record the event in the open transaction of the primary, and log it.

    Whoever acts in the request that is served is named, beside the user whom it concerns.

    :param event_type: one of the constants above; the part before the dot is the aggregate.
    :param payload: ids, scopes and kinds alone.
    """
    logger.info(event_type, extra={"id": str(aggregate_id)})
    try:
        record_event(
            aggregate_type=event_type.partition(".")[0],
            aggregate_id=aggregate_id,
            event_type=event_type,
            payload={**acting.acting(), **payload},
        )
    except NobodySubscribed:
        # Where compliance keeps no audit trail of these, the log line above is the record.
        logger.debug("accounts.oauth.nobody_subscribed", extra={"event_type": event_type})
