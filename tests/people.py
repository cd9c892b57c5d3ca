"""Users of the tests."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from accounts.roles.giving import give_role

PASSWORD = "a-password-of-the-tests"


def a_user(email: str = "member@example.com", **fields: Any) -> User:
    """Create somebody without any rights."""
    user: User = User.objects.create_user(email, PASSWORD, **fields)
    return user


def a_superuser(email: str = "root@example.com") -> User:
    """Create somebody who may do everything."""
    user: User = User.objects.create_superuser(email, PASSWORD)
    return user


def somebody_who_may_do_all(email: str = "overseer@example.com") -> User:
    """Create a superuser who is compliance officer, too: being one alone opens no closed app."""
    user = a_superuser(email)
    give_role(user=user, name="compliance officer")
    return user


def an_operator(*permissions: str, email: str = "operator@example.com") -> User:
    """Create staff with these permissions, each `app_label.codename`."""
    user = a_user(email, is_staff=True)
    for permission in permissions:
        app_label, _, codename = permission.partition(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app_label, codename=codename)
        )
    return user


def signed_in(user: User) -> Client:
    """Return a browser in which the user is signed in."""
    client = Client()
    client.force_login(user)
    return client


def with_role(name: str, email: str = "") -> User:
    """Create somebody with this role of `accounts.roles.definitions`."""
    user = a_user(email or f"{name.replace(' ', '-')}@example.com")
    give_role(user=user, name=name)
    return User.objects.get(pk=user.pk)
