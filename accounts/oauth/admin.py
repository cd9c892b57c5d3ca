"""Clients and tokens in the admin. The library registers these classes (see settings/oauth.py).

No page shows a secret or its checksum, except a client's new secret, once, on the page that made
it. Tokens are looked at and ended; nobody adds or edits them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    Client,
    PersonalToken,
    RefreshToken,
)
from accounts.models.oauth import ClientType
from accounts.oauth.policies import DESCRIPTIONS
from accounts.oauth.services import authorizations, clients, personal
from databases.admin_base import EndlessAdmin, HomeAdmin

if TYPE_CHECKING:
    from django.forms import CheckboxSelectMultiple as ThemedChoices
else:
    from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget as ThemedChoices

AnyModel = TypeVar("AnyModel", bound=Model)


class ScopeChoices(ThemedChoices):
    """The theme's boxes to tick, whose texts also fit a phone."""

    option_template_name = "oauth/scope_option.html"


class ClientForm(forms.ModelForm[Client]):
    """A client with its scopes to tick."""

    scopes = forms.MultipleChoiceField(
        choices=[(str(scope), f"{scope} – {text}") for scope, text in DESCRIPTIONS.items()],
        widget=ScopeChoices,
        help_text="The most that it may ask for; people may be asked for less.",
    )

    class Meta:
        model = Client
        fields = (
            "name", "client_type", "authorization_grant_type", "redirect_uris", "scopes",
            "may_introspect", "user", "is_active",
        )  # fmt: skip


class ClientAdmin(HomeAdmin[Client]):
    """Programs that may ask for tokens.

    Whoever sets whom a client acts as gives it that user's rights, so superusers alone do, and they
    alone touch such a client.
    """

    form = ClientForm
    list_display = (
        "name", "client_id", "client_type", "authorization_grant_type", "user", "is_active",
        "created_at",
    )  # fmt: skip
    list_filter = ("is_active", "client_type", "authorization_grant_type", "may_introspect")
    list_select_related = ("user",)
    search_fields = ("name", "=client_id", "user__email")
    autocomplete_fields = ("user",)
    fields = (
        "name", "client_id", "client_type", "authorization_grant_type", "redirect_uris", "scopes",
        "may_introspect", "user", "is_active", "created_at", "updated_at",
    )  # fmt: skip
    actions = ("new_secret",)

    def get_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Return the fields; a new client gets its id when it is saved."""
        fields = super().get_fields(request, obj)
        return fields if obj is not None else [name for name in fields if name != "client_id"]

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Return what this operator may only look at. The type decides about the secret: it stays.

        New clients have no id and no dates yet.
        """
        fixed = ["client_id", "created_at", "updated_at"]
        if obj is not None:
            fixed.append("client_type")
        return fixed if _is_superuser(request) else [*fixed, "user"]

    def has_change_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        """Tell whether this operator may change the client."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        """Tell whether this operator may delete the client."""
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save through the services, which tell the audit trail."""
        if change:
            clients.change_client(obj)
        else:
            request.new_secret = clients.create_client(obj)  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: Client, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret on this page and on no other."""
        return self._secret_once(request, obj, request.new_secret)  # type: ignore[attr-defined]

    def delete_model(self, request: HttpRequest, obj: Client) -> None:
        """Delete through the services."""
        clients.delete_clients(Client.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        """Delete through the services, as far as this operator may touch them."""
        chosen = [client.pk for client in queryset if _may_touch(request, client)]
        clients.delete_clients(Client.objects.filter(pk__in=chosen))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with the clients: counted, as their tokens may be many."""
        chosen = list(objs)
        gone = Authorization.objects.filter(client__in=chosen).count()
        kept = {"client"} if any(not _may_touch(request, client) for client in chosen) else set()
        counts = {"clients": len(chosen), "authorizations with their tokens": gone}
        return [str(client) for client in chosen], counts, kept, []

    @admin.action(description="Make a new secret for the selected client", permissions=["change"])
    def new_secret(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        """Replace the secret of one client and show the new one, once."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            messages.error(request, "Choose one client: each secret is shown once.")
            return None
        client = chosen[0]
        if client.client_type != ClientType.CONFIDENTIAL or not _may_touch(request, client):
            messages.error(request, "This client has no secret, or only superusers may change it.")
            return None
        secret = clients.give_new_secret(client, at=timezone.now())
        self.log_deed(request, chosen, "New secret.")
        return self._secret_once(request, client, secret)

    def _secret_once(self, request: HttpRequest, client: Client, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{client.name} is registered",
            "opts": self.opts,
            "client": client,
            "secret": secret,
        }
        response = TemplateResponse(request, "oauth/admin_secret.html", context)
        response["Cache-Control"] = "no-store"
        return response


class _LookedAt(EndlessAdmin[AnyModel]):
    """Rows that are known by a checksum, which no page shows."""

    search_fields = (
        "=authorization__client__client_id",
        "authorization__client__name",
        "authorization__user__email",
    )
    list_select_related = ("authorization__client", "authorization__user")

    def get_fields(self, request: HttpRequest, obj: AnyModel | None = None) -> Any:
        """Return the same as the list shows."""
        return self.list_display

    def get_readonly_fields(self, request: HttpRequest, obj: AnyModel | None = None) -> Any:
        """Return all of them."""
        return self.list_display

    @admin.display(description="client")
    def client(self, row: Any) -> str:
        """Return the client's name."""
        return str(row.authorization.client)

    @admin.display(description="user")
    def user(self, row: Any) -> str:
        """Return the address of who allowed it."""
        return str(row.authorization.user or "–")

    @admin.display(description="ended")
    def ended(self, row: Any) -> Any:
        """Return when the authorization ended."""
        return row.authorization.revoked_at

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Tell whether this operator may end authorizations; the permission to change them."""
        return request.user.has_perm("accounts.change_authorization")

    @admin.action(description="End the authorizations of the selected rows", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """End them with all of their tokens."""
        rows = list(queryset)
        count = authorizations.end_authorizations(_hang_on(rows), at=timezone.now())
        self.log_deed(request, rows, "Authorization ended.")
        messages.success(request, f"{count} authorizations are ended, with all of their tokens.")


class AuthorizationAdmin(_LookedAt[Authorization]):
    """What people allowed clients."""

    list_display = ("created_at", "client", "user", "scopes", "revoked_at", "reason")
    list_filter = ("reason", "created_at")
    search_fields = ("=client__client_id", "client__name", "user__email")
    list_select_related = ("client", "user")
    actions = ("end",)

    @admin.display(description="client")
    def client(self, row: Authorization) -> str:
        """Return the client's name."""
        return str(row.client)

    @admin.display(description="user")
    def user(self, row: Authorization) -> str:
        """Return the address of who allowed it."""
        return str(row.user or "–")


class AuthorizationCodeAdmin(_LookedAt[AuthorizationCode]):
    """Codes that were given out; each can be swapped once."""

    list_display = ("created_at", "client", "user", "expires_at", "used_at", "ended")


class AccessTokenAdmin(_LookedAt[AccessToken]):
    """Tokens of clients."""

    list_display = ("created_at", "client", "user", "scopes", "expires_at", "ended")
    list_filter = ("expires_at",)
    actions = ("end",)


class RefreshTokenAdmin(_LookedAt[RefreshToken]):
    """What clients swap for new tokens."""

    list_display = ("created_at", "client", "user", "expires_at", "used_at", "ended")
    list_filter = ("expires_at",)
    actions = ("end",)


@admin.register(PersonalToken)
class PersonalTokenAdmin(EndlessAdmin[PersonalToken]):
    """Tokens that people made for their own programs."""

    list_display = (
        "name", "hint", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    list_filter = ("expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "=hint", "user__email")
    fields = list_display
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell whether this operator may end people's tokens; the permission to change them."""
        return request.user.has_perm("accounts.change_personaltoken")

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[PersonalToken]) -> None:
        """End them."""
        chosen = list(queryset)
        ids = [token.pk for token in chosen]
        count = personal.revoke_tokens(PersonalToken.objects.filter(pk__in=ids), at=timezone.now())
        self.log_deed(request, chosen, "Revoked.")
        messages.success(request, f"{count} tokens are revoked.")


def _hang_on(rows: Iterable[Any]) -> set[UUID]:
    return {row.pk if isinstance(row, Authorization) else row.authorization_id for row in rows}


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_authenticated and request.user.is_superuser)


def _may_touch(request: HttpRequest, client: Client | None) -> bool:
    return client is None or client.user_id is None or _is_superuser(request)
