"""References across databases: what they hold, and what becomes of children without a parent."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection, connections, models, transaction
from django.test.utils import CaptureQueriesContext, isolate_apps

from accounts.models import User
from analytics.models import ActivityEvent, BusinessMetric
from compliance.models import AuditRecord, Filing
from customers.models import BusinessEntity
from databases.breaker import AliasUnavailable
from databases.loose import CASCADE, KEEP, SET_NULL, LooseForeignKey, declared_keys, load_loose
from databases.placement import alias_of
from databases.testing import alias_down, assert_no_cross_database
from documents.models import Document, DocumentShare
from outbox import loose_keys, orphans
from outbox.delivery import drain_once
from outbox.models import OutboxEvent
from tests.homes import databases_of
from tests.people import a_superuser, a_user, signed_in
from workspace.models import ImportBatch

APPS = ("analytics", "compliance", "documents", "workspace")
pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of(*APPS))
several = pytest.mark.skipif(
    "analytics" not in connections.settings, reason="In this shape all are one database."
)
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ada() -> User:
    return a_user("ada@example.com")


def an_event(user: User | None = None, **fields: Any) -> ActivityEvent:
    given = {"name": "page.viewed", "occurred_at": AT, "user_id": user.pk if user else None}
    return ActivityEvent.objects.create(**given | fields)


def a_share(user: User, **fields: Any) -> DocumentShare:
    document = Document.objects.create(title="Lease", owner_id=uuid.uuid4())
    return DocumentShare.objects.create(
        document=document, recipient_id=user.pk, shared_by_id=user.pk, **fields
    )


def told() -> Any:
    """Return the deletions that wait; MongoDB, which shows users, is told of them elsewhere."""
    return OutboxEvent.objects.filter(sink__in=APPS)


def deliver() -> None:
    drain_once(*APPS)


class TestTheParent:
    def test_is_fetched_once_per_row(self, ada: User, django_assert_num_queries) -> None:
        event = an_event(ada)

        with django_assert_num_queries(1, using="default"):
            assert event.get_user() == ada
            assert event.get_user() == ada

    def test_is_fetched_anew_when_the_row_is(self, ada: User) -> None:
        event = an_event(ada)
        assert event.get_user().first_name == ""
        User.objects.update(first_name="Ada")

        event.refresh_from_db()

        assert event.get_user().first_name == "Ada"

    def test_is_another_when_the_id_is(self, ada: User) -> None:
        event = an_event(ada)
        assert event.get_user() == ada

        event.user_id = a_user("bob@example.com").pk

        assert event.get_user().email == "bob@example.com"

    def test_is_none_where_there_is_none_or_none_any_more(self, ada: User) -> None:
        event = an_event(ada)
        ada.delete()

        assert event.get_user() is None
        assert an_event().get_user() is None

    def test_is_fetched_for_many_rows_in_one_query(
        self, ada: User, django_assert_num_queries
    ) -> None:
        bob = a_user("bob@example.com")
        entity = BusinessEntity.objects.create(legal_name="Acme", owner=ada)
        for user in (ada, bob, ada, None):
            an_event(user, customer_id=entity.pk)
        gone = an_event(user_id=uuid.uuid4())

        with assert_no_cross_database(), CaptureQueriesContext(connection) as queries:
            events = load_loose(ActivityEvent.objects.order_by("id"), "user", "customer")
            users = [event.get_user() for event in events]
            customers = {event.get_customer() for event in events}

        assert users == [ada, bob, ada, None, None]
        assert customers == {entity, None}
        assert events[-1] == gone
        assert sum("accounts_user" in query["sql"] for query in queries) == 1
        assert sum("customers_" in query["sql"] for query in queries) == 1

    def test_of_a_name_that_is_no_loose_key_is_not_looked_for(self) -> None:
        an_event()

        with pytest.raises(LookupError, match="subject"):
            load_loose(ActivityEvent.objects.all(), "subject")


class TestTheField:
    def test_has_the_type_of_the_parents_key(self) -> None:
        columns = {
            row.name: row.type_code
            for row in connections[alias_of("analytics")].introspection.get_table_description(
                connections[alias_of("analytics")].cursor(), ActivityEvent._meta.db_table
            )
        }

        assert columns["user_id"] == columns["id"]

    @isolate_apps("workspace")
    def test_follows_keys_that_count_up_and_keys_that_are_texts(self) -> None:
        class Row(models.Model):
            group = LooseForeignKey("auth.Group", on_parent_delete=KEEP)
            session = LooseForeignKey("sessions.Session", on_parent_delete=KEEP)

            class Meta:
                app_label = "workspace"

        using = connections[alias_of("workspace")]
        fields = {field.name: field for field in Row._meta.local_fields}
        assert fields["group"].db_type(using) == "integer"
        assert fields["session"].db_type(using) == "varchar(40)"
        assert fields["group"].get_prep_value("7") == 7
        assert isinstance(fields["group"].formfield(), forms.IntegerField)
        assert hasattr(Row, "get_group")

    def test_is_written_into_migrations(self) -> None:
        for field in declared_keys():
            _, path, args, kwargs = field.deconstruct()
            again = LooseForeignKey(*args, **kwargs)
            assert path == "databases.loose.LooseForeignKey"
            assert again.deconstruct()[1:] == (path, args, kwargs)
            assert (again.to, again.on_parent_delete) == (field.to, field.on_parent_delete)

    def test_has_an_index_for_its_rule(self) -> None:
        for field in declared_keys():
            assert [found.id for found in field.check()] == []

    def test_refuses_an_id_that_leads_nowhere_unless_it_may_stay(self, ada: User) -> None:
        share = a_share(ada)
        share.shared_by_id = uuid.uuid4()  # kept when the user goes, so it may lead nowhere
        share.full_clean()

        share.recipient_id = uuid.uuid4()

        with pytest.raises(ValidationError, match="There is no user with this id") as refused:
            share.full_clean()
        assert set(refused.value.message_dict) == {"recipient_id"}

    def test_takes_no_text_for_an_id(self) -> None:
        with pytest.raises(ValidationError, match="not a valid UUID"):
            ActivityEvent(user_id="nobody", name="a.b", occurred_at=AT).full_clean()

    def test_is_typed_in_and_searched_in_the_admin(self, ada: User) -> None:
        share = a_share(ada)
        client = signed_in(a_superuser())
        address = f"/admin/documents/documentshare/{share.pk}/change/"
        typed = {
            "document": share.document_id, "recipient_id": str(uuid.uuid4()),
            "permission": "view", "shared_by_id": str(ada.pk),
        }  # fmt: skip

        page = client.get(address).content.decode()
        refused = client.post(address, typed)
        changed = client.post(address, typed | {"recipient_id": str(ada.pk), "permission": "edit"})
        found = client.get("/admin/documents/documentshare/", {"q": str(ada.pk)})

        assert f'value="{ada.pk}"' in page
        assert "There is no user with this id." in refused.content.decode()
        assert changed.status_code == 302
        assert DocumentShare.objects.get().permission == "edit"
        assert str(share.pk) in found.content.decode()


class TestTheChecks:
    @isolate_apps("documents")
    def test_find_what_a_declaration_gets_wrong(self) -> None:
        class Mistaken(models.Model):
            unknown = LooseForeignKey("accounts.Nobody", on_parent_delete=KEEP)
            no_label = LooseForeignKey("Nobody", on_parent_delete=KEEP)
            at_home = LooseForeignKey("documents.Document", on_parent_delete=KEEP)
            elsewhere = LooseForeignKey("compliance.Filing", on_parent_delete=KEEP)
            not_null = LooseForeignKey("accounts.User", on_parent_delete=SET_NULL)
            slow = LooseForeignKey("accounts.User", on_parent_delete=CASCADE, db_index=False)
            right = LooseForeignKey("accounts.User", on_parent_delete=CASCADE)

            class Meta:
                app_label = "documents"

        found = {
            field.name: [(message.id, bool(message.hint)) for message in field.check()]
            for field in Mistaken._meta.local_fields
            if isinstance(field, LooseForeignKey)
        }
        assert found == {
            "unknown": [("databases.E020", True)],
            "no_label": [("databases.E020", True)],
            "at_home": [("databases.E022", True)],
            "elsewhere": [("databases.E021", True)],
            "not_null": [("databases.E023", True)],
            "slow": [("databases.W024", True)],
            "right": [],
        }

    def test_say_when_nobody_tells_of_deletions(self) -> None:
        def found() -> list[tuple[str, str]]:
            return [
                (str(message.id), message.msg)
                for message in loose_keys.deletions_are_recorded(databases=["default"])
            ]

        assert found() == []
        with pytest.raises(RuntimeError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER accounts_user_loose_keys ON accounts_user")
            assert [(kind, "'accounts_user'" in text) for kind, text in found()] == [
                ("outbox.W002", True)
            ]
            cursor.execute(
                "CREATE TRIGGER accounts_user_loose_keys AFTER DELETE ON accounts_user FOR EACH "
                "ROW EXECUTE FUNCTION outbox_record_change('accounts_user', 'id', 'analytics,data')"
            )
            assert "not told to compliance, documents, workspace" in found()[0][1]
            raise RuntimeError
        assert loose_keys.deletions_are_recorded(databases=["analytics"]) == []


def by_raw_sql(user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])


def in_the_admin(user: User) -> None:
    client = signed_in(a_superuser())
    assert (
        client.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"}).status_code == 302
    )


@pytest.mark.parametrize(
    "delete",
    [User.delete, lambda user: User.objects.filter(pk=user.pk).delete(), by_raw_sql, in_the_admin],
    ids=["instance", "query set", "raw SQL", "admin"],
)
def test_each_key_does_what_it_declares_whoever_deletes_the_parent(ada: User, delete) -> None:
    bob = a_user("bob@example.com")
    share, other = a_share(ada), a_share(bob)
    event = an_event(ada)
    record = AuditRecord.objects.create(
        event_type="user.left", occurred_at=AT, actor_kind="user", actor_id=ada.pk
    )
    batch = ImportBatch.objects.create(source_name="rows.csv", created_by_id=ada.pk)
    gone = ada.pk

    delete(ada)
    deliver()

    assert list(DocumentShare.objects.all()) == [other]
    assert Document.objects.filter(pk=share.document_id).exists()
    event.refresh_from_db()
    assert event.user_id is None
    record.refresh_from_db()  # kept, beside what the audit trail tells of the deletion
    assert record.actor_id == gone
    assert ImportBatch.objects.get(pk=batch.pk).created_by_id == gone
    assert not told().exists()


def test_a_parent_that_goes_by_a_cascade_is_told_of(ada: User) -> None:
    entity = BusinessEntity.objects.create(legal_name="Acme", owner=ada)
    event = an_event(customer_id=entity.pk)
    figure = BusinessMetric.objects.create(
        name="sign_ups", period_starts_at=AT, value=1, customer_id=entity.pk
    )
    filing = Filing.objects.create(
        customer_id=entity.pk, kind="other", period_starts_on=AT, period_ends_on=AT, due_on=AT,
        responsible_id=ada.pk,
    )  # fmt: skip

    with transaction.atomic(using="default"):
        BusinessEntity.objects.all().delete()
        ada.delete()
    deliver()

    for row in (event, figure, filing):
        row.refresh_from_db()
    assert (event.customer_id, filing.responsible_id) == (None, None)
    assert (figure.customer_id, filing.customer_id) == (entity.pk, entity.pk)


def test_a_deletion_that_is_rolled_back_changes_nothing(ada: User) -> None:
    event = an_event(ada)
    with pytest.raises(RuntimeError), transaction.atomic(using="default"):
        User.objects.all().delete()
        raise RuntimeError

    deliver()

    event.refresh_from_db()
    assert event.get_user() == ada


@several
def test_a_deletion_waits_for_a_childs_database_and_for_no_other(ada: User) -> None:
    share, event = a_share(ada), an_event(ada)

    with alias_down("documents"):
        ada.delete()
        with pytest.raises(AliasUnavailable):
            drain_once("documents")
        drain_once("analytics", "compliance", "workspace")
        event.refresh_from_db()
        assert event.user_id is None
        assert list(told().values_list("sink", flat=True)) == ["documents"]

    drain_once("documents")

    assert not DocumentShare.objects.filter(pk=share.pk).exists()


def test_told_twice_it_is_done_once(ada: User) -> None:
    share = a_share(ada)
    ada.delete()
    events = list(told().order_by("id"))
    deliver()
    assert not DocumentShare.objects.filter(pk=share.pk).exists()

    OutboxEvent.objects.bulk_create(events)
    deliver()

    assert not told().exists()


def test_a_parent_that_is_there_again_keeps_its_children(ada: User) -> None:
    share = a_share(ada)
    gone = ada.pk
    ada.delete()
    a_user("ada@example.com", id=gone)

    deliver()

    assert DocumentShare.objects.get() == share


def test_many_children_go_in_small_transactions(ada: User, monkeypatch) -> None:
    monkeypatch.setattr(loose_keys, "AT_ONCE", 7)
    ActivityEvent.objects.bulk_create(
        ActivityEvent(name="page.viewed", occurred_at=AT, user_id=ada.pk) for _ in range(40)
    )
    an_event(a_user("bob@example.com"))

    ada.delete()
    with CaptureQueriesContext(connections[alias_of("analytics")]) as queries:
        drain_once("analytics")

    assert ActivityEvent.objects.filter(user_id=None).count() == 40
    assert ActivityEvent.objects.exclude(user_id=None).count() == 1
    updates = [query for query in queries if query["sql"].startswith("UPDATE")]
    assert len(updates) == 6


def found(*names: str, **options: Any) -> dict[str, Any]:
    """Run the command; return its status and what it says about each key that has orphans."""
    from io import StringIO

    out, status = StringIO(), 0
    try:
        call_command("find_orphans", *names, json=True, stdout=out, **options)
    except SystemExit as end:
        status = int(end.code or 0)
    keys = json.loads(out.getvalue())["keys"]
    return {"status": status, **{key["key"]: key for key in keys if key["orphans"]}}


class TestOrphans:
    def test_are_found_and_the_rule_is_applied_to_them(self, ada: User, monkeypatch) -> None:
        monkeypatch.setattr(orphans, "AT_ONCE", 3)
        monkeypatch.setattr(loose_keys, "AT_ONCE", 2)
        nobody = uuid.uuid4()
        kept, event = a_share(ada), an_event(ada)
        for _ in range(10):
            an_event(user_id=nobody)
        document = Document.objects.create(title="Lease", owner_id=nobody)
        lost = DocumentShare.objects.create(
            document=document, recipient_id=nobody, shared_by_id=ada.pk
        )

        before = found()
        assert before.pop("status") == 1
        assert {key: (one["checked"], one["orphans"]) for key, one in before.items()} == {
            "analytics.ActivityEvent.user_id": (11, 10),
            "documents.Document.owner_id": (2, 2),
            "documents.DocumentShare.recipient_id": (2, 1),
        }
        assert before["documents.DocumentShare.recipient_id"]["examples"] == [str(lost.pk)]
        repaired = found(repair=True)
        after = found()

        assert repaired["status"] == 0
        assert repaired["analytics.ActivityEvent.user_id"]["repaired"] == 10
        # What the rule keeps is shown, and is no finding.
        assert after == {
            "status": 0,
            "documents.Document.owner_id": after["documents.Document.owner_id"],
        }
        assert DocumentShare.objects.get() == kept
        assert list(ActivityEvent.objects.exclude(user_id=None)) == [event]

    def test_come_of_children_that_were_added_after_their_parent_went(self, ada: User) -> None:
        gone = ada.pk
        ada.delete()
        deliver()
        an_event(user_id=gone)

        assert found("analytics.activityevent.user_id")["status"] == 1
        assert found("compliance.Filing.responsible_id")["status"] == 0

    def test_of_an_unknown_key_are_bad_use(self) -> None:
        with pytest.raises(CommandError, match=r"documents\.DocumentShare\.recipient_id") as bad:
            call_command("find_orphans", "documents.Document.title")

        assert bad.value.returncode == 2

    @several
    def test_are_not_denied_while_a_database_is_down(self, capsys) -> None:
        with alias_down("documents"), pytest.raises(SystemExit) as end:
            call_command("find_orphans")

        assert end.value.code == 1
        said = capsys.readouterr().out
        assert "not all read: AliasUnavailable" in said
        assert "analytics.ActivityEvent.user_id" in said
