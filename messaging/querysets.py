"""The vocabulary of messaging's queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models

if TYPE_CHECKING:
    from messaging.models import ConversationMember, DirectMessage, GroupMessage, Membership


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Questions about who belongs to servers."""

    def current(self) -> Self:
        """Those who have not left."""
        return self.filter(left_at=None)

    def of(self, user_id: UUID) -> Self:
        """Those of one user."""
        return self.filter(user_id=user_id)


class ConversationMemberQuerySet(models.QuerySet["ConversationMember"]):
    """Questions about who takes part in conversations."""

    def current(self) -> Self:
        """Those who have not left."""
        return self.filter(left_at=None)

    def of(self, user_id: UUID) -> Self:
        """Those of one user."""
        return self.filter(user_id=user_id)


class DirectMessageQuerySet(models.QuerySet["DirectMessage"]):
    """Questions about direct messages."""

    def of(self, conversation_id: UUID) -> Self:
        """Those of one conversation."""
        return self.filter(conversation_id=conversation_id)

    def not_in_mongodb(self) -> Self:
        """Those whose newest state PostgreSQL alone has."""
        return self.filter(mongo_pending=True)


class GroupMessageQuerySet(models.QuerySet["GroupMessage"]):
    """Questions about group messages."""

    def of(self, channel_id: UUID) -> Self:
        """Those of one channel."""
        return self.filter(channel_id=channel_id)
