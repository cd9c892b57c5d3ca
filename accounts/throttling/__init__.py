"""How often anybody may try: per device address and per account, with `Retry-After`."""

from accounts.throttling.rules import Rule
from accounts.throttling.spending import Spent, TooManyAttempts, client_of, origin_of, spend

__all__ = ["Rule", "Spent", "TooManyAttempts", "client_of", "origin_of", "spend"]
