"""Documents, versions, shares and what processors make of them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from accounts.leaving.registry import Leaver
from documents import services
from documents.models import (
    Document,
    DocumentActivity,
    DocumentShare,
    DocumentVersion,
    ProcessingResult,
)
from tests.homes import databases_of, refused_by_the_database
from tests.people import a_superuser, an_operator, signed_in

pytestmark = pytest.mark.django_db(databases=databases_of("documents"))
AT = datetime(2026, 3, 1, tzinfo=UTC)
SOMEBODY = uuid.UUID(int=7)
Deed = DocumentActivity.Deed


def a_document(**fields: Any) -> Document:
    return Document.objects.create(**{"title": "Lease", "owner_id": SOMEBODY} | fields)


def a_version(document: Document, number: int = 1) -> DocumentVersion:
    return DocumentVersion.objects.create(
        document=document,
        number=number,
        file_name="lease.pdf",
        size_bytes=2_048,
        sha256="a" * 64,
        storage_key=f"{document.pk}/{number}",
        uploaded_by_id=SOMEBODY,
    )


class TestADocument:
    def test_goes_out_of_sight_and_comes_back(self) -> None:
        document = a_document()

        archived = services.archive_documents(documents=Document.objects.all(), at=AT)
        again = services.archive_documents(documents=Document.objects.all(), at=AT)
        restored = services.restore_documents(documents=Document.objects.all(), at=AT)

        document.refresh_from_db()
        assert (archived, again, restored, document.status) == (1, 0, 1, "active")

    def test_takes_versions_shares_and_results_with_it(self) -> None:
        document = a_document()
        version = a_version(document)
        ProcessingResult.objects.create(version=version, processor="text")
        DocumentShare.objects.create(
            document=document, recipient_id=SOMEBODY, shared_by_id=SOMEBODY
        )

        document.delete()

        assert not ProcessingResult.objects.exists()
        assert not DocumentShare.objects.exists()

    def test_shows_its_versions_in_the_admin_without_letting_them_change(self) -> None:
        document = a_document()
        a_version(document)

        page = signed_in(a_superuser()).get(f"/admin/documents/document/{document.pk}/change/")

        assert page.status_code == 200
        assert "lease.pdf" in page.content.decode()
        assert 'name="versions-0-file_name"' not in page.content.decode()


class TestAVersion:
    def test_has_a_number_of_its_own(self) -> None:
        document = a_document()
        a_version(document)

        with refused_by_the_database(Document, "documents_version"):
            a_version(document)

    def test_names_its_bytes_by_a_real_checksum(self) -> None:
        document = a_document()

        with refused_by_the_database(Document, "documents_version_sha256"):
            DocumentVersion.objects.create(
                document=document, number=1, file_name="x", size_bytes=0, sha256="A" * 64,
                storage_key="x", uploaded_by_id=SOMEBODY,
            )  # fmt: skip


class TestAShare:
    def test_is_for_a_user_or_for_a_link(self) -> None:
        document = a_document()

        for fields in ({}, {"recipient_id": SOMEBODY, "token_sha256": "b" * 64}):
            with refused_by_the_database(Document, "documents_share_user_or_link"):
                DocumentShare.objects.create(document=document, shared_by_id=SOMEBODY, **fields)

    def test_opens_until_it_expires_or_is_revoked(self) -> None:
        document = a_document()
        now = datetime(2099, 1, 1, tzinfo=UTC)
        share = DocumentShare.objects.create(
            document=document, recipient_id=SOMEBODY, shared_by_id=SOMEBODY,
            expires_at=now + timedelta(hours=1),
        )  # fmt: skip

        assert DocumentShare.objects.live(at=now).get() == share
        assert not DocumentShare.objects.live(at=now + timedelta(hours=1)).exists()
        assert services.revoke_shares(shares=DocumentShare.objects.all(), at=now) == 1
        assert not DocumentShare.objects.live(at=now).exists()

    def test_can_be_given_again_after_it_was_revoked(self) -> None:
        document = a_document()
        given = {"document": document, "recipient_id": SOMEBODY, "shared_by_id": SOMEBODY}
        DocumentShare.objects.create(**given)

        with refused_by_the_database(Document, "documents_share_one_per_user"):
            DocumentShare.objects.create(**given)
        services.revoke_shares(shares=DocumentShare.objects.all(), at=AT)
        DocumentShare.objects.create(**given)

    def test_that_expires_before_it_begins_is_refused_by_the_form(self) -> None:
        share = DocumentShare(
            document=a_document(), recipient_id=SOMEBODY, shared_by_id=SOMEBODY, expires_at=AT
        )

        with pytest.raises(ValidationError, match="must expire after"):
            share.full_clean()


def test_a_result_is_finished_exactly_when_it_has_ended() -> None:
    version = a_version(a_document())
    ProcessingResult.objects.create(version=version, processor="text")

    with refused_by_the_database(Document, "documents_processing_finished_at"):
        ProcessingResult.objects.create(version=version, processor="ocr", status="succeeded")
    assert ProcessingResult.objects.unfinished().count() == 1


class TestActivity:
    def test_tells_who_did_what_and_outlives_its_document(self) -> None:
        document = a_document()
        document_id = document.pk
        viewed, changed = (
            services.record_activity(
                document_id=document_id, deed=deed, occurred_at=AT + timedelta(hours=hours),
                actor_id=SOMEBODY,
            )
            for hours, deed in enumerate([Deed.VIEWED, Deed.CHANGED])
        )  # fmt: skip
        services.record_activity(document_id=uuid.uuid4(), deed=Deed.VIEWED, occurred_at=AT)

        document.delete()

        assert list(DocumentActivity.objects.about(document_id)) == [changed, viewed]
        assert list(DocumentActivity.objects.by(SOMEBODY)) == [changed, viewed]

    def test_of_an_unknown_kind_is_refused_by_the_database(self) -> None:
        eaten: Any = "eaten"

        with refused_by_the_database(Document, "documents_activity_deed_known"):
            services.record_activity(document_id=uuid.uuid4(), deed=eaten, occurred_at=AT)

    def test_is_looked_at_in_the_admin_and_changed_by_nobody(self) -> None:
        document = a_document()
        entry = services.record_activity(document_id=document.pk, deed=Deed.VIEWED, occurred_at=AT)
        address = "/admin/documents/documentactivity/"
        client = signed_in(a_superuser())

        listed = client.get(address, {"q": str(document.pk)}).content.decode()
        page = client.get(f"{address}{entry.pk}/change/")

        assert f"/admin/documents/document/{document.pk}/change/" in listed
        assert str(document.pk) in page.content.decode()
        assert client.post(f"{address}{entry.pk}/change/", {"deed": "deleted"}).status_code == 403
        assert client.post(f"{address}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
        stranger = signed_in(an_operator("documents.view_document"))
        assert stranger.get(address).status_code == 403


class TestTheFilesOfALeaver:
    @pytest.fixture(autouse=True)
    def _storage(self, settings, tmp_path) -> None:
        settings.MEDIA_ROOT = tmp_path

    def _stored(self, document: Document, number: int = 1) -> str:
        version = a_version(document, number)
        assert default_storage.save(version.storage_key, ContentFile(b"x")) == version.storage_key
        return version.storage_key

    def test_go_with_the_documents(self) -> None:
        own, of_an_entity = a_document(), a_document(customer_id=uuid.uuid4())
        somebody_elses = a_document(owner_id=uuid.UUID(int=8))
        gone = [self._stored(own, 1), self._stored(own, 2)]
        kept = [self._stored(of_an_entity), self._stored(somebody_elses)]

        services.forget_person(Leaver(user_id=SOMEBODY, addresses=()))

        assert not any(map(default_storage.exists, gone))
        assert all(map(default_storage.exists, kept))
        assert set(Document.objects.all()) == {of_an_entity, somebody_elses}

    def test_that_are_gone_already_hinder_nobody(self) -> None:
        own = a_document()
        a_version(own)

        services.forget_person(Leaver(user_id=SOMEBODY, addresses=()))

        assert not Document.objects.exists()

    def test_that_the_storage_does_not_delete_keep_their_rows(self, tmp_path) -> None:
        own = a_document()
        key = self._stored(own)
        # A folder that is not empty stands where the file was.
        (tmp_path / key).unlink()
        (tmp_path / key / "inside").mkdir(parents=True)

        with pytest.raises(OSError, match="not empty"):
            services.forget_person(Leaver(user_id=SOMEBODY, addresses=()))
        assert Document.objects.get() == own

        (tmp_path / key / "inside").rmdir()
        services.forget_person(Leaver(user_id=SOMEBODY, addresses=()))
        assert not Document.objects.exists()
        assert not default_storage.exists(key)
