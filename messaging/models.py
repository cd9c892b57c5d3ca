"""Servers and channels, conversations, their members and messages. Rows live in the primary.

Direct messages live in MongoDB too (`messaging.stores`). Their rows hold plain ids instead of
foreign keys: what MongoDB accepted while PostgreSQL was away must never be refused here.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.ids import uuid7
from messaging.querysets import (
    ConversationMemberQuerySet,
    DirectMessageQuerySet,
    GroupMessageQuerySet,
    MembershipQuerySet,
)

LONGEST_CONTENT = 4_000
LONGEST_URL = 2_000
LONGEST_NAME = 100
HASH_LENGTH = 32


class Role(models.TextChoices):
    """What a member of a server or a conversation may do; `messaging.policies` says what."""

    OWNER = "owner", "owner"
    MODERATOR = "moderator", "moderator"
    MEMBER = "member", "member"


class Server(models.Model):
    """A place with channels that its members share."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    name = models.CharField(max_length=LONGEST_NAME)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="messaging_server_name_given")
        ]

    def __str__(self) -> str:
        return self.name


class Channel(models.Model):
    """A room for every member of a server."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    server = models.ForeignKey(
        Server, on_delete=models.CASCADE, related_name="channels", db_index=False
    )
    name = models.CharField(max_length=LONGEST_NAME)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["server", "name"], name="messaging_channel_name_once"),
            models.CheckConstraint(condition=~Q(name=""), name="messaging_channel_name_given"),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Somebody who belongs to a server, or did."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    server = models.ForeignKey(
        Server, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=9, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    left_at = models.DateTimeField(null=True, blank=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "user"], name="messaging_membership_once_per_server"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} of {self.server_id}"


class Conversation(models.Model):
    """A room of two or more people. Two people have one conversation of their own."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    title = models.CharField(max_length=LONGEST_NAME, blank=True, default="")
    pair = models.CharField(  # noqa: DJ001 - null, so that any number of others may be
        max_length=80,
        null=True,
        blank=True,
        editable=False,
        help_text="Both users' ids, the smaller first; empty for conversations of more.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["pair"], name="messaging_conversation_one_per_pair")
        ]

    def __str__(self) -> str:
        return self.title or f"conversation {self.pk}"


class ConversationMember(models.Model):
    """Somebody who takes part in a conversation, or did."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    role = models.CharField(max_length=9, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    left_at = models.DateTimeField(null=True, blank=True)

    objects = ConversationMemberQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "user"], name="messaging_member_once_per_conversation"
            )
        ]
        indexes = [
            models.Index(fields=["user", "-conversation"], name="messaging_member_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} of {self.conversation_id}"


class ReadMarker(models.Model):
    """Up to which message a user has read a room."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    room_id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField()
    message_id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField()
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-updated_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "room_id"], name="messaging_marker_once_per_room"
            )
        ]

    def __str__(self) -> str:
        return f"read up to {self.message_id}"


class _Message(models.Model):
    """What direct and group messages share."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    member_id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(editable=False)
    author_id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        editable=False, help_text="The user behind the member."
    )
    content = models.TextField(blank=True)
    file_url = models.TextField(blank=True, default="")
    deleted = models.BooleanField(default=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)
    rank = models.CharField(
        max_length=33, editable=False, db_collation="C",
        help_text="Deleted or not, then the version: see messaging.stores.versions.",
    )  # fmt: skip
    request = models.CharField(
        max_length=HASH_LENGTH, blank=True, default="", editable=False,
        help_text="Hash of its author and their Idempotency-Key.",
    )  # fmt: skip
    fingerprint = models.CharField(
        max_length=HASH_LENGTH, blank=True, default="", editable=False,
        help_text="Hash of what was sent with that key.",
    )  # fmt: skip
    search = SearchVectorField(null=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return "deleted" if self.deleted else f"message of {self.created_at:%Y-%m-%d %H:%M}"


class DirectMessage(_Message):
    """The copy that PostgreSQL has of a direct message."""

    conversation_id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(editable=False)
    mongo_pending = models.BooleanField(
        default=False, editable=False, help_text="MongoDB does not have this state yet."
    )

    objects = DirectMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["conversation_id", "-id"], name="messaging_direct_newest"),
            models.Index(fields=["conversation_id", "updated_at"], name="messaging_direct_changes"),
            models.Index(
                fields=["updated_at", "id"],
                condition=Q(updated_at__gt=F("created_at")),
                name="messaging_direct_edited",
            ),
            models.Index(
                fields=["conversation_id", "id"],
                condition=Q(mongo_pending=True),
                name="messaging_direct_pending",
            ),
            models.Index(
                fields=["request"], condition=~Q(request=""), name="messaging_direct_request"
            ),
            GinIndex(fields=["search"], name="messaging_direct_words"),
        ]


class GroupMessage(_Message):
    """A message in a channel."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="+", db_index=False, editable=False
    )

    objects = GroupMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["request"], condition=~Q(request=""), name="messaging_group_request_once"
            )
        ]
        indexes = [
            models.Index(fields=["channel", "-id"], name="messaging_group_newest"),
            models.Index(fields=["channel", "updated_at"], name="messaging_group_changes"),
            GinIndex(fields=["search"], name="messaging_group_words"),
        ]


class Reconciliation(models.Model):
    """One comparison of both stores' direct messages: how far it came and what it found."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    scope = models.CharField(max_length=200, blank=True, default="")
    """Which messages; the same scope resumes."""
    after = models.CharField(max_length=36, blank=True, default="")
    """The last id that was compared."""
    repairs = models.BooleanField(default=True)
    compared = models.BigIntegerField(default=0)
    differences = models.BigIntegerField(default=0)
    mended = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.began_at:%Y-%m-%d %H:%M}: {self.differences} differences"
