"""Accounts: sign-up, sign-in, letters, and how often anybody may try."""

from __future__ import annotations

from config.settings.env import flag, integer, refuse, text

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
"""By the address of the user, in any capitalisation. For an unknown address it hashes, too."""
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "account"
LOGOUT_REDIRECT_URL = "home"

SITE_NAME = "Polystore"
ACCOUNT_ADAPTER = "accounts.views.adapter.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "accounts.views.adapter.SocialAccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.views.forms.SignInForm",
    "signup": "accounts.views.forms.SignUpForm",
    "reset_password": "accounts.views.forms.AskResetForm",
    "reset_password_from_key": "accounts.views.forms.ResetForm",
    "change_password": "accounts.views.forms.ChangePasswordForm",
    "set_password": "accounts.views.forms.SetPasswordForm",
    "user_token": "accounts.views.forms.TokenForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = 3
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_RATE_LIMITS = False
"""Ours count instead, for pages and the API together: `accounts.throttling`."""
PASSWORD_RESET_TIMEOUT = 3_600
"""Seconds that a link to set a new password works, once."""
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"

UNCONFIRMED_ACCOUNT_DAYS = 7
"""Days after which an account whose address nobody confirmed is removed."""

_SCALE = integer("THROTTLE_SCALE", 1, least=1, most=1_000_000)
"""Multiplies what one address may try: for offices behind one address, and load tests."""
_MINUTES, _HOUR = 300, 3_600
ACCOUNT_THROTTLES: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "sign_in": ((30 * _SCALE, _MINUTES), (10, _MINUTES)),
    "admin_sign_in": ((10 * _SCALE, _MINUTES), (5, _MINUTES)),
    "register": ((20 * _SCALE, _HOUR), (5, _HOUR)),
    "mail": ((20 * _SCALE, _HOUR), (5, _HOUR)),
    "token": ((30 * _SCALE, _HOUR), (30, _HOUR)),
    "password": ((30 * _SCALE, _MINUTES), (10, _MINUTES)),
    "export": ((20 * _SCALE, _HOUR), (5, _HOUR)),
    "client": ((60 * _SCALE, _MINUTES), (600, _MINUTES)),
    "issue": ((3_000 * _SCALE, _MINUTES), (6_000, _MINUTES)),
    "code": ((30 * _SCALE, _MINUTES), (5, _MINUTES)),
    "new_token": ((60 * _SCALE, _HOUR), (30, _HOUR)),
}
"""Rule to (times, seconds) of one device address, and of one account, or of one OAuth client."""

MFA_ADAPTER = "accounts.views.adapter.SecondStepAdapter"
MFA_FORMS = {
    "authenticate": "accounts.views.second_step.AuthenticateForm",
    "reauthenticate": "accounts.views.second_step.ReauthenticateForm",
    "activate_totp": "accounts.views.second_step.ActivateForm",
    "deactivate_totp": "accounts.views.second_step.DeactivateForm",
    "generate_recovery_codes": "accounts.views.second_step.NewCodesForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1
"""Periods of 30 seconds by which a phone's clock may be off."""
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
"""Nobody signs in without a confirmed address; a second one that waits is no reason to refuse."""
ADMIN_REQUIRES_TOTP = flag("ADMIN_REQUIRES_TOTP", default=False)
"""Whether /admin/ opens only to sessions that passed a second step. Not by default: an upgrade must
not stand between operators and the admin in the middle of an incident."""

SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
"""An account with the same address is not taken over: its owner connects the two when signed in."""
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_QUERY_EMAIL = True


def _keys(name: str, key: str, secret: str) -> dict[str, str]:
    """Return the keys of a provider, none where neither is set."""
    if bool(key) != bool(secret):
        raise refuse(f"{name}_CLIENT_ID and {name}_CLIENT_SECRET go together.")
    return {"client_id": key, "secret": secret} if key else {}


_KEYS = {
    "google": _keys("GOOGLE", text("GOOGLE_CLIENT_ID"), text("GOOGLE_CLIENT_SECRET")),
    "github": _keys("GITHUB", text("GITHUB_CLIENT_ID"), text("GITHUB_CLIENT_SECRET")),
}
_KEYS = {name: keys for name, keys in _KEYS.items() if keys}
SOCIAL_APPS = [f"allauth.socialaccount.providers.{name}" for name in _KEYS]
SOCIALACCOUNT_PROVIDERS = {
    name: {
        "APPS": [keys],
        "SCOPE": {"google": ["profile", "email"], "github": ["user:email"]}[name],
        "OAUTH_PKCE_ENABLED": True,
    }
    for name, keys in _KEYS.items()
}
SOCIAL_ORIGINS = [
    {"google": "https://accounts.google.com", "github": "https://github.com"}[name]
    for name in _KEYS
]
"""Where the form that begins such a sign-in leads: the content security policy names them."""
