"""The admin: its theme and what its side bar shows."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Polystore",
    "SITE_HEADER": "Polystore",
    "SITE_SUBHEADER": "One site over many databases",
    "SITE_SYMBOL": "database",
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 240)",
            "100": "oklch(93.5% .032 240)",
            "200": "oklch(88% .06 240)",
            "300": "oklch(81% .105 241)",
            "400": "oklch(71% .15 243)",
            "500": "oklch(62% .17 248)",
            "600": "oklch(54% .17 252)",
            "700": "oklch(47% .15 254)",
            "800": "oklch(41% .12 256)",
            "900": "oklch(37% .1 258)",
            "950": "oklch(28% .08 260)",
        },
    },
    "LOGIN": {"form": "accounts.views.admin_sign_in.AdminSignInForm"},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "databases.admin_navigation.navigation",
    },
}

SILENCED_SYSTEM_CHECKS = [
    # Wants a plain unique index on USERNAME_FIELD. The e-mail address is unique by an index on
    # lower(email), which is stricter: accounts_user_email_unique.
    "auth.E003",
    "auth.W004",
]
