"""The page on which a person allows a client what it asks for, or does not."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from oauth2_provider.exceptions import FatalClientError, OAuthToolkitError
from oauth2_provider.http import OAuth2ResponseRedirect
from oauth2_provider.oauth2_backends import _add_iss_to_redirect
from oauth2_provider.settings import oauth2_settings

from accounts.models.redirects import LOOPBACK
from accounts.oauth.policies import described
from accounts.oauth.queries import scopes_of
from accounts.oauth.services.answering import Question, decide, question_of
from common.middleware.policy import PAGES


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def authorize(request: HttpRequest) -> HttpResponse:
    """Ask (GET), and take the answer (POST). What is asked stands in the query, both times."""
    try:
        question = question_of(request)
        if request.method == "GET":
            return _ask(request, question)
        allow = request.POST.get("decision") == "allow"
        return _go_back(decide(request, question, allow=allow))
    except FatalClientError as refused:
        return _refuse(request, refused.oauthlib_error.description or "")
    except OAuthToolkitError as refused:
        error = refused.oauthlib_error
        return _go_back(_with_issuer(request, error.in_uri(error.redirect_uri)))
    except ValueError:
        return _refuse(request, "The address cannot be read.")


def _ask(request: HttpRequest, question: Question) -> HttpResponse:
    may_have = scopes_of(request.user)  # type: ignore[arg-type]  # signed in
    scopes = [
        {"name": scope, "text": text, "lost": scope not in may_have}
        for scope, text in described(question.scopes)
    ]
    context = {"client": question.client, "scopes": scopes, "goes_to": _shown(question)}
    response = render(request, "oauth/consent.html", context)
    # After the form is sent the browser follows the redirect, which the policy judges, too.
    response["Content-Security-Policy"] = f"{PAGES} {_origin(question.redirect_uri)}"
    return response


def _refuse(request: HttpRequest, reason: str) -> HttpResponse:
    """Say on a page of ours what is wrong: nobody may be sent anywhere."""
    return render(request, "oauth/refused.html", {"reason": reason}, status=400)


def _go_back(address: str) -> HttpResponse:
    redirect: HttpResponse = OAuth2ResponseRedirect(address, [urlsplit(address).scheme])
    return redirect


def _with_issuer(request: HttpRequest, address: str) -> str:
    """Name who answers (RFC 9207); the library does it for codes alone."""
    issuer = oauth2_settings.oauth2_authorization_server_issuer(request)
    named: str = _add_iss_to_redirect(address, issuer)
    return named


def _origin(address: str) -> str:
    """Return the origin as a content security policy names it; the scheme, for native apps."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _shown(question: Question) -> str:
    """Return where the person will be sent, in words."""
    parts = urlsplit(question.redirect_uri)
    if parts.hostname in LOOPBACK:
        return "a program on this computer"
    return parts.hostname or f"an app on this device ({parts.scheme})"
