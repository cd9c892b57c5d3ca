"""Passwords, cookies, headers."""

from __future__ import annotations

from ipaddress import ip_network

from config.settings.env import flag, items, refuse

CSRF_TRUSTED_ORIGINS = items("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = items("TRUSTED_PROXIES")
"""Addresses or networks whose forwarded addresses and scheme are believed; "unix" for a proxy that
connects through a unix socket. `common.middleware.TrustedProxies` removes the headers of others."""
for _item in TRUSTED_PROXIES:
    try:
        _item == "unix" or ip_network(_item, strict=False)
    except ValueError:
        raise refuse(
            f"TRUSTED_PROXIES must list addresses, networks or unix; {_item!r} is neither."
        ) from None
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Probes of liveness and health come from inside, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^api/health(/databases)?$"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

FIELD_ENCRYPTION_KEYS = items("FIELD_ENCRYPTION_KEYS")
"""What seals secrets that must be read again, such as those of second steps. The first one seals,
all of them open. Without any, SECRET_KEY does both, and then it cannot change freely."""
if any(len(_key) < 32 for _key in FIELD_ENCRYPTION_KEYS):
    raise refuse("Each of FIELD_ENCRYPTION_KEYS must have at least 32 characters, made at random.")

COMPLIANCE_SUPERUSERS = flag("COMPLIANCE_SUPERUSERS", default=False)
"""Whether superusers see compliance data. By default only compliance officers do."""
