"""What wraps every request: whom to believe, what to write down, how to fail."""

from common.middleware.errors import ProblemAnswers
from common.middleware.limits import RequestLimits
from common.middleware.observation import ObservedRequests
from common.middleware.policy import ContentSecurityPolicy
from common.middleware.proxies import TrustedProxies

__all__ = [
    "ContentSecurityPolicy",
    "ObservedRequests",
    "ProblemAnswers",
    "RequestLimits",
    "TrustedProxies",
]
