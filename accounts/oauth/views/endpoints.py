"""The endpoints that clients call. Nothing secret is ever taken from a query string."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from oauth2_provider.settings import oauth2_settings

from accounts.oauth.policies import DESCRIPTIONS
from accounts.oauth.services import answering
from accounts.throttling import Rule, client_of, spend
from common.access import guarded, public

View = Callable[..., HttpResponse]
METHODS = ["client_secret_basic", "client_secret_post"]


def _endpoint(view: View) -> View:
    """Take forms from clients: no cookie counts, so none can be misused. Refusals are counted."""

    @wraps(view)
    def take(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.META.get("QUERY_STRING"):
            return _refused("URL query parameters are not allowed: send a form.")
        spent = spend(Rule.CLIENT, client=client_of(request), account=answering.named_in(request))
        with spent.unless_a_store_is_away():
            response = view(request, *args, **kwargs)
        if response.status_code < 400:
            spent.give_back()
        response["Cache-Control"] = "no-store"
        return response

    return csrf_exempt(
        require_POST(sensitive_post_parameters()(sensitive_variables()(guarded(public(take)))))
    )


@_endpoint
def token(request: HttpRequest) -> HttpResponse:
    """Swap a code, a refresh token or a client's own credentials for tokens."""
    _count(request)
    return _answered(answering.give_token(request))


@_endpoint
def revoke(request: HttpRequest) -> HttpResponse:
    """End a token with all that came of the same authorization (RFC 7009)."""
    _count(request)
    return _answered(answering.revoke(request))


@_endpoint
def introspect(request: HttpRequest) -> HttpResponse:
    """Tell a client that may know about somebody's token (RFC 7662)."""
    given = request.POST.get("token", "")
    if not given:
        return _refused("token is missing.")
    try:
        return JsonResponse(answering.introspect(request, token=given))
    except answering.ClientNotRecognised as refused:
        response = JsonResponse(
            {"error": "invalid_client", "error_description": refused.detail}, status=401
        )
        response["WWW-Authenticate"] = 'Basic realm="polystore"'
        return response
    except answering.MayNotIntrospect as refused:
        return JsonResponse(
            {"error": "access_denied", "error_description": refused.detail}, status=403
        )


@require_safe
@guarded
@public
def metadata(request: HttpRequest) -> HttpResponse:
    """Say where everything is, and what is understood (RFC 8414). Asks no store."""
    at = {name: request.build_absolute_uri(reverse(f"oauth2_provider:{name}")) for name in NAMES}
    response = JsonResponse(
        {
            "issuer": oauth2_settings.oauth2_authorization_server_issuer(request),
            "authorization_endpoint": at["authorize"],
            "token_endpoint": at["token"],
            "revocation_endpoint": at["revoke-token"],
            "introspection_endpoint": at["introspect"],
            "scopes_supported": [str(scope) for scope in DESCRIPTIONS],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [
                "authorization_code",
                "client_credentials",
                "refresh_token",
            ],
            "token_endpoint_auth_methods_supported": [*METHODS, "none"],
            "revocation_endpoint_auth_methods_supported": [*METHODS, "none"],
            "introspection_endpoint_auth_methods_supported": METHODS,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "service_documentation": request.build_absolute_uri("/api/docs"),
        }
    )
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "public, max-age=300"
    return response


NAMES = ("authorize", "token", "revoke-token", "introspect")


def _count(request: HttpRequest) -> None:
    """Bound what one client, and one address, has written.

    :raises TooManyAttempts: 429.
    """
    spend(Rule.ISSUE, client=client_of(request), account=answering.named_in(request))


def _answered(answer: answering.Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    for name, value in answer.headers.items():
        response[name] = value
    return response


def _refused(description: str) -> HttpResponse:
    body = {"error": "invalid_request", "error_description": description}
    return HttpResponse(json.dumps(body), status=400, content_type="application/json")
