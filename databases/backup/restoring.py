"""Put a backup back: each database in one transaction, MongoDB's collections by renaming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import PolystoreError
from databases import placement
from databases.backup import checking, listeners, manifest, mongodb, postgres_load, targets
from databases.backup.listeners import Restored
from databases.backup.manifest import DatabaseDump, Manifest
from databases.backup.progress import Progress
from databases.backup.targets import Target
from databases.migration.connect import direct_connection
from databases.stores import mongo


class BackupDamaged(PolystoreError):
    """The files are not those that were written; nothing was restored."""

    code = "backups.damaged"
    status = 409
    title = "The backup is damaged"
    remedy = "Use another backup. `manage.py restore DIR --check` lists all that is wrong."


class WrongTargets(PolystoreError):
    """The databases to restore to do not fit those that were chosen."""

    code = "backups.wrong_targets"
    status = 422
    title = "Wrong targets"
    remedy = "Name with --only what to restore, and with --to-url-of one alias for each of them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One store to restore."""

    store: str
    dump: DatabaseDump | None
    """None for MongoDB."""
    target: Target | None
    where: str
    """Its address for people."""
    size: str
    """What comes back, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredStore:
    """What was restored where."""

    store: str
    on: str
    tables: int
    rows: int
    """Rows, or documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done, and what people should know."""

    stores: tuple[RestoredStore, ...]
    notes: tuple[str, ...]


def plan(
    folder: Path, *, only: Sequence[str] = (), to_url_of: Sequence[str] = (), replace: bool
) -> list[Step]:
    """Return what would be restored where, after having proved files and targets.

    :param only: aliases or `mongodb`; all by default.
    :param to_url_of: for each of `only`, the alias whose database takes it.
    :raises NoBackup: when there is none, or not of these.
    :raises BackupDamaged: when a file is missing or was changed.
    :raises WrongTargets: when `to_url_of` does not fit `only`.
    :raises NotEmpty: when a target holds tables, unless `replace`.
    :raises NotReached: when a target does not answer.
    """
    known = manifest.read(folder)
    stores = manifest.chosen(known, only)
    aliases = dict(zip(stores, stores, strict=True))
    if to_url_of:
        if len(to_url_of) != len(only) or len(stores) != len(only) or manifest.MONGODB in only:
            raise WrongTargets("--to-url-of needs one alias for each database of --only.")
        aliases = dict(zip(stores, to_url_of, strict=True))
    if len(set(aliases.values())) != len(stores):
        raise WrongTargets("Two databases cannot be restored into one.")
    if faults := checking.files(folder, known):
        raise BackupDamaged(f"{len(faults)} files are wrong, the first: {faults[0]}.")
    return [_step(known, store, aliases[store], replace=replace) for store in stores]


def restore(
    folder: Path,
    steps: Sequence[Step],
    *,
    replace: bool,
    with_privileges: bool = False,
    with_roles: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Restore what `plan` returned, and tell the listeners of each database.

    :param replace: what the targets hold is dropped, in the same transaction.
    :param with_privileges: grants to other roles come back, too; those roles must exist.
    :param with_roles: the roles of the dumped servers are made first, without passwords.
    :raises PolystoreError: when a store could not be restored; it is as it was before.
    """
    progress = progress or Progress()
    known = manifest.read(folder)
    done: list[RestoredStore] = []
    notes: list[str] = []
    for step in steps:
        progress.stage(f"restoring {step.store}")
        if step.dump is None or step.target is None:
            notes += _restore_mongodb(folder, known, replace=replace, progress=progress)
        else:
            if with_roles:
                notes += _restore_roles(folder, known, step.dump, step.target)
            notes += _restore_database(
                folder,
                step.dump,
                step.target,
                replace=replace,
                with_privileges=with_privileges,
                progress=progress,
            )
        done.append(_restored(step, known))
    return Outcome(stores=tuple(done), notes=tuple(dict.fromkeys(notes)))


def _step(known: Manifest, store: str, alias: str, *, replace: bool) -> Step:
    if store == manifest.MONGODB:
        if not mongo.configured():
            raise mongo.MongoNotConfigured("MongoDB is not configured.")
        documents = known.mongodb.collections if known.mongodb else ()
        total = sum(each.documents for each in documents)
        what = f"{len(documents)} collections, {total:,} documents"
        return Step(store=store, dump=None, target=None, where="MONGO_URL", size=what)
    (dump,) = (each for each in known.databases if each.name == store)
    target = targets.target_of(alias)
    postgres_load.require_fit(target, dump, replace=replace)
    what = f"{len(dump.tables)} tables, {dump.rows:,} rows of {dump.taken_at}"
    return Step(
        store=store, dump=dump, target=target, where=f"{alias} ({target.address})", size=what
    )


def _restore_mongodb(
    folder: Path, known: Manifest, *, replace: bool, progress: Progress
) -> list[str]:
    if known.mongodb is None:
        return []
    return mongodb.load(folder, known.mongodb, replace=replace, progress=progress)


def _restore_roles(folder: Path, known: Manifest, dump: DatabaseDump, target: Target) -> list[str]:
    name = known.roles.get(dump.name)
    if name is None:
        return [f"{dump.name}: the backup has no roles of its server"]
    major = postgres_load.require_fit(target, dump, replace=True)
    refused = postgres_load.load_roles(target, folder / name, major=major)
    return [
        f"{dump.name}: roles have no passwords yet",
        *(f"{dump.name}: a role was not made: {reason}" for reason in refused),
    ]


def _restore_database(
    folder: Path,
    dump: DatabaseDump,
    target: Target,
    *,
    replace: bool,
    with_privileges: bool,
    progress: Progress,
) -> list[str]:
    restored = Restored(on=target.alias, of=dump.aliases, taken_at=dump.taken_at)
    with direct_connection(target.alias):
        kept = listeners.remember(restored)
    postgres_load.load(
        target,
        folder / dump.path,
        dump,
        replace=replace,
        with_privileges=with_privileges,
        progress=progress,
        within=listeners.within(restored, kept),
    )
    try:
        with direct_connection(target.alias):
            said = listeners.tell(restored, kept)
    except Exception as error:
        raise NotTold(
            f"{dump.name} was restored, but what follows a restore failed ({type(error).__name__})."
        ) from error
    if restored.is_primary:
        placement.refresh()
    return said


class NotTold(PolystoreError):
    """The rows are back, but a part of the site could not do what it must do after a restore."""

    code = "backups.listeners_failed"
    status = 500
    title = "Restored, but not finished"
    remedy = "Do not start the site: mend the cause and repeat the restore with --replace."


def _restored(step: Step, known: Manifest) -> RestoredStore:
    if step.dump is None or step.target is None:
        collections = known.mongodb.collections if known.mongodb else ()
        return RestoredStore(
            store=step.store,
            on=step.store,
            tables=len(collections),
            rows=sum(each.documents for each in collections),
        )
    return RestoredStore(
        store=step.store,
        on=step.target.alias,
        tables=len(step.dump.tables),
        rows=step.dump.rows,
    )
