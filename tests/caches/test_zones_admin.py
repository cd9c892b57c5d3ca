"""What operators see of zones, and the one thing that they can do."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from caches.models import Dataset, Zone
from tests.caches.drawing import many_squares, seed_oz2, write_folder
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

VERSIONS = "admin:caches_dataset_changelist"


@pytest.fixture
def two_versions(tmp_path: Path) -> tuple[Dataset, Dataset]:
    """Return the version that answers, and the one before."""
    seed_oz2(write_folder(tmp_path / "old", many_squares(3)))
    seed_oz2(write_folder(tmp_path / "new", many_squares(4)))
    active, retired = Dataset.objects.newest_first()
    return active, retired


def test_the_lists_show_versions_and_find_zones(
    admin_client: Client, two_versions: tuple[Dataset, Dataset]
) -> None:
    assert two_versions[0].version in admin_client.get(reverse(VERSIONS)).content.decode()
    found = admin_client.get(reverse("admin:caches_zone_changelist"), {"q": "08000000003"})
    assert "08000000003" in found.content.decode()
    assert found.context["cl"].result_count == 1


def test_nothing_can_be_added_changed_or_deleted_by_hand(
    admin_client: Client, two_versions: tuple[Dataset, Dataset]
) -> None:
    zone = Zone.objects.order_by("pk")[0]
    assert admin_client.get(reverse("admin:caches_zone_change", args=[zone.pk])).status_code == 200
    for name, arguments in (
        ("admin:caches_zone_add", []),
        ("admin:caches_dataset_add", []),
        ("admin:caches_zone_delete", [zone.pk]),
        ("admin:caches_dataset_delete", [two_versions[0].pk]),
    ):
        assert admin_client.post(reverse(name, args=arguments)).status_code == 403


def test_the_action_rolls_back_and_says_so(
    admin_client: Client, two_versions: tuple[Dataset, Dataset]
) -> None:
    _, retired = two_versions
    answer = admin_client.post(
        reverse(VERSIONS),
        {"action": "make_active", "_selected_action": [str(retired.pk)]},
        follow=True,
    )
    assert f"{retired.version} answers now (generation 3)" in answer.content.decode()
    assert Dataset.objects.active().get() == retired


def test_the_action_wants_exactly_one_version(
    admin_client: Client, two_versions: tuple[Dataset, Dataset]
) -> None:
    answer = admin_client.post(
        reverse(VERSIONS),
        {"action": "make_active", "_selected_action": [str(one.pk) for one in two_versions]},
        follow=True,
    )
    assert "Select one version" in answer.content.decode()
    assert Dataset.objects.active().get() == two_versions[0]
