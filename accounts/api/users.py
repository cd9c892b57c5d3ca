"""Oneself, others, and what operators do to users."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from accounts import services
from accounts.api.caller import user_of, weak_passwords_are_problems
from accounts.models import User
from accounts.passwords.resetting import ask_reset
from accounts.policies import require_permission, require_touch
from accounts.queries import Person, person, user_for_staff, users_for_staff
from accounts.schemas import (
    MeAnswer,
    MeChange,
    NewUserBody,
    StaffUserAnswer,
    UserAnswer,
    UserChange,
    UsersQuery,
)
from accounts.throttling import origin_of
from common.access import signed_in, staff
from common.pagination import KeysetPage
from common.schemas import Page

router = Router()


@router.get("/me", response=MeAnswer, summary="Yourself")
@signed_in("users:read")
def get_me(request: HttpRequest) -> User:
    """Show the caller."""
    return user_of(request)


@router.patch("/me", response=MeAnswer, summary="Change your name")
@signed_in("users:write")
def change_me(request: HttpRequest, body: MeChange) -> User:
    """Change what is sent. Address and password have operations of their own under /api/auth."""
    user = user_of(request)
    services.change_profile(user=user, first_name=body.first_name, last_name=body.last_name)
    return user


@router.get("/{uuid:user_id}", response=UserAnswer, summary="Somebody")
@signed_in("users:read")
def get_user(request: HttpRequest, user_id: UUID) -> Person:
    """Show what anybody may know of a user: the name, never the address."""
    return person(user_id=user_id)


@router.get("", response=Page[StaffUserAnswer], summary="All users")
@staff("admin")
def list_users(request: HttpRequest, asked: Query[UsersQuery]) -> KeysetPage[User]:
    """List users, the newest first; for operators who may see users."""
    require_permission(user_of(request), "accounts.view_user")
    return users_for_staff(
        text=asked.q, active=asked.active, cursor=asked.cursor, limit=asked.limit
    )


@router.post("", response={201: StaffUserAnswer}, summary="Make a user")
@staff("admin")
def create_user(request: HttpRequest, body: NewUserBody) -> Status[User]:
    """Make a user whose address the operator vouches for.

    Without a password, a letter lets the user set one.
    """
    operator = user_of(request)
    require_permission(operator, "accounts.add_user")
    with weak_passwords_are_problems("password"):
        made = services.create_user(
            email=body.email,
            password=body.password,
            first_name=body.first_name,
            last_name=body.last_name,
            actor_id=operator.pk,
        )
    if body.password is None:
        ask_reset(address=made.email, origin=origin_of(request))
    return Status(201, made)


@router.get("/{uuid:user_id}/details", response=StaffUserAnswer, summary="All about somebody")
@staff("admin")
def get_user_details(request: HttpRequest, user_id: UUID) -> User:
    """Show what operators see of a user."""
    require_permission(user_of(request), "accounts.view_user")
    return user_for_staff(user_id=user_id)


@router.patch("/{uuid:user_id}", response=StaffUserAnswer, summary="Change a user")
@staff("admin")
def change_user(request: HttpRequest, user_id: UUID, body: UserChange) -> User:
    """Change name or address; rights are given in the admin alone."""
    operator, user = _touch(request, user_id, "accounts.change_user")
    return services.change_user(
        user=user,
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
        actor_id=operator.pk,
    )


@router.post("/{uuid:user_id}/deactivate", response=StaffUserAnswer, summary="Bar a user")
@staff("admin")
def deactivate_user(request: HttpRequest, user_id: UUID) -> User:
    """Bar a user from signing in; every session ends. Twice is like once."""
    operator, user = _touch(request, user_id, "accounts.change_user")
    chosen = User.objects.filter(pk=user.pk)
    services.deactivate_users(users=chosen, at=timezone.now(), actor_id=operator.pk)
    return user_for_staff(user_id=user_id)


@router.post("/{uuid:user_id}/reactivate", response=StaffUserAnswer, summary="Let a user in again")
@staff("admin")
def reactivate_user(request: HttpRequest, user_id: UUID) -> User:
    """Let a user sign in again. Twice is like once."""
    operator, user = _touch(request, user_id, "accounts.change_user")
    chosen = User.objects.filter(pk=user.pk)
    services.reactivate_users(users=chosen, at=timezone.now(), actor_id=operator.pk)
    return user_for_staff(user_id=user_id)


def _touch(request: HttpRequest, user_id: UUID, permission: str) -> tuple[User, User]:
    """Return the operator and the user, whom the operator may change."""
    operator = user_of(request)
    require_permission(operator, permission)
    user = user_for_staff(user_id=user_id)
    require_touch(operator, user)
    return operator, user
