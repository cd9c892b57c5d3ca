"""The site's own addresses, and the probes beside them."""

from __future__ import annotations

from django.urls import path

from config.api import build
from config.urls import urlpatterns as of_the_site
from tests.api import probes

urlpatterns = [
    path("api/probe/", build({"": "tests.api.probes"}, namespace="probes").urls),
    path("page/fail/<str:how>", probes.fail_in_a_page),
    path("page/guarded", probes.guarded_page),
    path("page/slow", probes.statement_too_slow),
    *of_the_site,
]
