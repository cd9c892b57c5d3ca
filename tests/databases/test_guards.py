"""Nothing crosses databases silently: judged by declared homes, in one database as in many."""

from __future__ import annotations

import threading
import uuid

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.contrib.contenttypes.fields import GenericRelation
from django.core.management import call_command
from django.db import connections, models, router, transaction
from django.db.models.expressions import RawSQL
from django.test.utils import isolate_apps
from prometheus_client import REGISTRY
from psycopg import sql

from accounts.models import User
from common.metrics import exposition
from customers.models import BusinessEntity
from databases import checks
from databases.aliases import is_replica
from databases.crossings import CrossesDatabases, allow_cross_database, forget_places
from databases.guards import BareAtomic, JoinCrossesHomes, TransactionCrossesHomes, WrongDatabase
from databases.stores import mongo, redis
from databases.transactions import TransactionHeldOpen, atomic_for, require_no_transaction
from documents.models import Document, DocumentVersion
from tests.homes import databases_of, home_of

DATABASES = databases_of("customers", "caches", "documents", "compliance")
BOTH_REGIMES = pytest.mark.parametrize(
    "regime",
    [
        pytest.param("wrapped", marks=pytest.mark.django_db(databases=DATABASES)),
        pytest.param("real", marks=pytest.mark.django_db(databases=DATABASES, transaction=True)),
    ],
)


def a_document(title: str = "Lease") -> Document:
    document: Document = Document.objects.create(title=title, owner_id=uuid.uuid4())
    return document


def an_entity(name: str = "Acme") -> BusinessEntity:
    entity: BusinessEntity = BusinessEntity.objects.create(
        legal_name=name, country="DE", owner=an_owner()
    )
    return entity


def an_owner() -> User:
    user, _ = User.objects.get_or_create(email="owner@example.com")
    return user


def rename_users() -> None:
    User.objects.update(first_name="Ann")


def rename_documents() -> None:
    Document.objects.update(title="Lease")


@pytest.mark.django_db(databases=DATABASES)
class TestJoins:
    def test_a_subquery_of_another_homes_app_is_refused_and_the_fix_named(self):
        owners = User.objects.values("pk")

        with pytest.raises(JoinCrossesHomes) as caught:
            list(Document.objects.filter(owner_id__in=owners))

        assert "accounts and documents" in caught.value.detail
        assert "list(ids)" in caught.value.remedy

    def test_the_named_fix_works(self):
        ids = list(User.objects.values_list("pk", flat=True))

        assert list(Document.objects.filter(owner_id__in=ids)) == []

    @pytest.mark.parametrize(
        "query",
        [
            lambda: Document.objects.extra(tables=["accounts_user"]),
            lambda: Document.objects.extra(where=["owner_id IN (SELECT id FROM accounts_user)"]),
            lambda: Document.objects.filter(
                owner_id__in=RawSQL("SELECT id FROM accounts_user", ())
            ),
            lambda: Document.objects.raw(
                'SELECT d.* FROM "documents_document" d JOIN accounts_user u ON u.id = d.owner_id'
            ),
            lambda: Document.objects.filter(owner_id__in=User.objects.values("pk")).iterator(),
        ],
        ids=["extra-tables", "extra-where", "raw-expression", "raw-query", "server-side-cursor"],
    )
    def test_every_way_to_write_one_is_refused(self, query):
        with pytest.raises(JoinCrossesHomes):
            list(query())

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT 1 FROM documents_document, accounts_user",
            'select 1 from "DOCUMENTS_document" natural join public.accounts_user',
            "DELETE FROM documents_document USING accounts_user u WHERE owner_id = u.id",
            b"SELECT 1 FROM documents_document, accounts_user",
            sql.SQL("SELECT 1 FROM {}, {}").format(
                sql.Identifier("documents_document"), sql.Identifier("accounts_user")
            ),
        ],
        ids=["text", "quoted", "delete-using", "bytes", "composed"],
    )
    def test_raw_sql_is_looked_at_too(self, statement):
        with connections["default"].cursor() as cursor, pytest.raises(JoinCrossesHomes):
            cursor.execute(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT 'accounts_user' FROM documents_document",
            "SELECT 1 FROM documents_document -- accounts_user",
            "SELECT 1 /* accounts_user\n */ FROM documents_document",
            "SELECT $$accounts_user$$ FROM documents_document",
            "SELECT owner_id AS accounts_user_id FROM documents_document",
        ],
    )
    def test_texts_comments_and_longer_names_are_no_tables(self, statement):
        with connections[home_of(Document)].cursor() as cursor:
            cursor.execute(statement)

    def test_apps_of_one_home_may_be_joined(self):
        assert list(BusinessEntity.objects.select_related("owner")) == []
        assert list(User.objects.filter(groups__in=Group.objects.all())) == []

    def test_a_long_statement_is_looked_at_like_a_short_one(self):
        ids = [uuid.uuid4() for _ in range(5_000)]

        assert list(Document.objects.filter(owner_id__in=ids)) == []
        with pytest.raises(JoinCrossesHomes):
            list(Document.objects.filter(owner_id__in=ids, id__in=User.objects.values("pk")))


@pytest.mark.django_db(databases=DATABASES)
class TestWrongDatabase:
    @pytest.mark.skipif(len(DATABASES) < 3, reason="in one database no other one can be named")
    def test_naming_another_apps_database_is_refused(self):
        with pytest.raises(WrongDatabase) as caught:
            list(Document.objects.using("default"))

        assert "documents" in caught.value.detail
        assert "using()" in caught.value.remedy

    def test_naming_the_apps_own_database_is_right(self):
        assert list(Document.objects.using(router.db_for_write(Document))) == []


@BOTH_REGIMES
class TestTransactions:
    def test_changing_rows_of_two_homes_in_one_is_refused(self, regime):
        with atomic_for("customers"), pytest.raises(TransactionCrossesHomes) as caught:
            an_entity()
            rename_documents()

        assert "default and documents" in caught.value.detail
        assert "event" in caught.value.remedy

    def test_so_it_is_when_each_has_a_block_of_its_own(self, regime):
        with atomic_for("customers"), pytest.raises(TransactionCrossesHomes):
            an_entity()
            with atomic_for("documents"):
                rename_documents()

    def test_so_it_is_when_the_inner_one_has_been_committed(self, regime):
        with atomic_for("customers"), pytest.raises(TransactionCrossesHomes):
            with atomic_for("documents"):
                rename_documents()
            an_entity()

    def test_so_it_is_when_the_other_change_commits_at_once(self, regime):
        with atomic_for("customers"), pytest.raises(TransactionCrossesHomes):
            rename_documents()
            an_entity()

    def test_after_a_refusal_the_transaction_goes_on(self, regime):
        with atomic_for("customers"):
            rename_users()
            with pytest.raises(TransactionCrossesHomes), atomic_for("documents"):
                rename_documents()
            rename_users()

    def test_one_after_the_other_is_fine(self, regime):
        for _ in range(2):
            with atomic_for("customers"):
                rename_users()
            with atomic_for("documents"):
                rename_documents()
            Document.objects.all().delete()

    def test_what_was_rolled_back_is_forgotten(self, regime):
        with pytest.raises(RuntimeError), atomic_for("customers"):
            rename_users()
            raise RuntimeError
        with atomic_for("documents"):
            rename_documents()

    def test_so_is_what_a_savepoint_took_back(self, regime):
        with atomic_for("documents"):
            with pytest.raises(RuntimeError), atomic_for("documents"):
                rename_documents()
                raise RuntimeError
            with atomic_for("customers"):
                rename_users()

    def test_what_a_savepoint_kept_is_not(self, regime):
        with atomic_for("documents"), pytest.raises(TransactionCrossesHomes):
            with atomic_for("documents"):
                rename_documents()
            with atomic_for("customers"):
                rename_users()

    def test_reading_the_other_home_is_fine(self, regime):
        with atomic_for("customers"):
            rename_users()
            assert Document.objects.count() == 0

    def test_a_decorated_function_called_twice_is_two_transactions(self, regime):
        @transaction.atomic(using="default")
        def run(change):
            change()

        run(rename_users)
        with allow_cross_database(reason="the test's decorator guards one database"):
            run(rename_documents)
        run(rename_users)

    def test_copying_rows_in_counts_as_a_change(self, regime):
        with atomic_for("customers"), pytest.raises(TransactionCrossesHomes):
            rename_users()
            with (
                connections[home_of(Document)].cursor() as cursor,
                cursor.copy("COPY documents_document (id) FROM STDIN"),
            ):
                pass


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_a_transaction_begun_by_hand_counts_like_any_other():
    connection = connections["default"]
    connection.set_autocommit(False)
    try:
        rename_users()
        with pytest.raises(TransactionCrossesHomes):
            rename_documents()
        with pytest.raises(TransactionHeldOpen):
            require_no_transaction(before="MongoDB was called")
        connection.rollback()
    finally:
        connection.set_autocommit(True)
    rename_documents()


@BOTH_REGIMES
class TestBareAtomic:
    def test_around_rows_of_another_home_it_is_refused(self, regime):
        with transaction.atomic(), pytest.raises(BareAtomic) as caught:
            rename_documents()

        assert "atomic_for('documents')" in caught.value.remedy

    def test_so_it_is_as_a_decorator(self, regime):
        @transaction.atomic
        def rename():
            rename_documents()

        with pytest.raises(BareAtomic):
            rename()

    def test_so_it_is_as_a_decorator_with_parentheses(self, regime):
        @transaction.atomic()
        def rename():
            rename_documents()

        with pytest.raises(BareAtomic):
            rename()

    def test_blocks_of_django_that_name_the_database_hide_nothing(self, regime):
        document = a_document()

        # The outer block keeps the failure from the test's own transaction.
        with pytest.raises(BareAtomic), atomic_for("documents"), transaction.atomic():
            document.delete()
        with pytest.raises(BareAtomic), transaction.atomic():
            Document.objects.get_or_create(title="New", defaults={"owner_id": uuid.uuid4()})

    def test_around_rows_of_the_primary_it_is_fine(self, regime):
        with transaction.atomic():
            rename_users()

    def test_reading_another_home_inside_is_fine(self, regime):
        with transaction.atomic():
            assert not Document.objects.exists()

    def test_what_names_the_database_is_fine(self, regime):
        owner = uuid.uuid4()
        with transaction.atomic(using=router.db_for_write(Document)):
            rename_documents()
        with atomic_for("documents", durable=True):
            rename_documents()
        document, _ = Document.objects.get_or_create(title="A", defaults={"owner_id": owner})
        Document.objects.update_or_create(title="A", defaults={"owner_id": owner})
        Document.objects.bulk_create([Document(title="B", owner_id=owner)])
        Document.objects.bulk_update([document], ["title"])
        document.delete()


@BOTH_REGIMES
class TestOtherStores:
    @pytest.mark.parametrize("door", [mongo.database, redis.connection], ids=["mongodb", "redis"])
    def test_their_doors_refuse_while_a_transaction_is_open_anywhere(self, regime, door):
        with atomic_for("documents"), pytest.raises(TransactionHeldOpen), door():
            pass

    @pytest.mark.parametrize("door", [mongo.database, redis.connection], ids=["mongodb", "redis"])
    def test_their_doors_open_after_it(self, regime, door):
        with atomic_for("documents"):
            pass
        with door():
            pass

    def test_with_a_reason_they_open_inside(self, regime):
        with (
            atomic_for("documents"),
            allow_cross_database(reason="a test of the door"),
            redis.connection() as client,
        ):
            assert client.ping()


@pytest.mark.django_db(databases=DATABASES)
class TestTheWayThrough:
    def test_a_reason_lets_a_statement_cross(self):
        with allow_cross_database(reason="looks where it must not"):
            rename_users()
            with transaction.atomic():
                rename_documents()
                rename_users()

    def test_without_a_reason_there_is_none(self):
        with pytest.raises(ValueError, match="why"), allow_cross_database(reason=" "):
            pass

    def test_it_ends_with_its_block_also_by_an_exception(self):
        with pytest.raises(RuntimeError), allow_cross_database(reason="ends badly"):
            raise RuntimeError
        with transaction.atomic(), pytest.raises(BareAtomic):
            rename_documents()

    def test_it_follows_a_coroutine_into_its_threads_and_no_other_coroutine(self):
        async def crosses() -> bool:
            try:
                await sync_to_async(in_a_bare_block)()
            except BareAtomic:
                return False
            return True

        def in_a_bare_block() -> None:
            with transaction.atomic():
                rename_documents()

        async def both() -> tuple[bool, bool]:
            with allow_cross_database(reason="a test of contexts"):
                inside = await crosses()
            return inside, await crosses()

        assert async_to_sync(both)() == (True, False)


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_threads_have_transactions_and_permissions_of_their_own():
    seen: list[type[Exception] | None] = []

    def in_a_thread() -> None:
        try:
            rename_documents()
            seen.append(None)
        except CrossesDatabases as error:
            seen.append(type(error))
        finally:
            connections.close_all()

    with atomic_for("customers"):
        rename_users()
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join()

    assert seen == [None]


@pytest.mark.django_db(databases=DATABASES)
class TestInProduction:
    """There the guard never stands in the way: it logs each place once and counts every time."""

    @pytest.fixture(autouse=True)
    def as_in_production(self, settings):
        settings.CROSS_DATABASE_GUARD = "log"
        forget_places()
        yield
        forget_places()

    def test_statements_run_and_each_place_is_logged_once(self, caplog):
        before = counted("databases.bare_atomic")
        for _ in range(3):
            with transaction.atomic():
                rename_documents()
        with transaction.atomic():
            a_document()

        assert Document.objects.count() == 1
        assert counted("databases.bare_atomic") - before == 4
        places = [record.place for record in caplog.records if record.name == "databases.guards"]
        assert len(places) == 2
        assert all(place.startswith(f"{__name__}:") for place in places)

    def test_the_log_says_what_is_wrong_and_what_to_do(self, caplog):
        with atomic_for("customers"):
            rename_users()
            rename_documents()

        (record,) = [record for record in caplog.records if record.name == "databases.guards"]
        assert record.getMessage() == "databases.transaction_crosses_homes"
        assert "default and documents" in record.detail
        assert "event" in record.remedy

    def test_another_store_may_be_called_inside_a_transaction(self, caplog):
        before = counted("databases.transaction_held_open")
        with atomic_for("customers"), redis.connection() as client:
            assert client.ping()

        assert counted("databases.transaction_held_open") - before == 1
        assert "databases.transaction_held_open" in caplog.text

    def test_the_counts_are_in_the_metrics(self):
        with transaction.atomic():
            rename_documents()

        assert b'polystore_cross_database_total{code="databases.bare_atomic"}' in exposition()


def counted(code: str) -> float:
    return REGISTRY.get_sample_value("polystore_cross_database_total", {"code": code}) or 0.0


@isolate_apps("customers", "documents", "django.contrib.contenttypes")
def test_a_generic_relation_of_the_primary_to_another_home_is_an_error():
    class Paper(models.Model):
        kind_id = models.PositiveIntegerField()
        number = models.PositiveIntegerField()

        class Meta:
            app_label = "documents"

    class Firm(models.Model):
        papers = GenericRelation(Paper, "number", "kind_id")

        class Meta:
            app_label = "customers"

    (found,) = checks.crossing_relations(Firm)

    assert found.id == "databases.E002"
    assert "documents.Paper in 'documents'" in found.msg
    assert found.hint


class TestOrdinaryDjango:
    """What the framework does by itself raises no false alarm."""

    @pytest.mark.django_db(databases=DATABASES, transaction=True)
    def test_flush_empties_databases(self):
        for alias in DATABASES:
            if not is_replica(alias):
                call_command("flush", database=alias, interactive=False, verbosity=0)

    @pytest.mark.django_db(databases=DATABASES)
    def test_prefetching_and_deleting_follow_relations_within_a_home(self):
        document = a_document()
        DocumentVersion.objects.create(
            document=document,
            number=1,
            file_name="lease.pdf",
            size_bytes=1,
            sha256="0" * 64,
            storage_key="lease",
            uploaded_by_id=uuid.uuid4(),
        )

        found = list(Document.objects.prefetch_related("versions").select_related())
        assert [version.number for version in found[0].versions.all()] == [1]
        assert found[0].delete()[0] == 2

    @pytest.mark.django_db(databases=DATABASES)
    def test_loading_and_dumping_of_every_home(self, tmp_path):
        a_document()
        path = tmp_path / "rows.json"
        call_command("dumpdata", "documents", database=home_of(Document), output=str(path))
        Document.objects.all().delete()

        call_command("loaddata", str(path), database=home_of(Document), verbosity=0)

        assert Document.objects.count() == 1

    @pytest.mark.django_db(databases=DATABASES)
    def test_contenttypes_and_permissions_are_made_for_every_home(self):
        call_command("migrate", database="default", verbosity=0)
