#!/bin/bash
# The replica's entry point: copies the primary where there is no copy yet, then streams from it.
set -euo pipefail

if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
    install -d -m 0700 -o postgres -g postgres "$PGDATA"
    # A copy that was cut off leaves files without PG_VERSION behind.
    find "$PGDATA" -mindepth 1 -delete
    # --write-recovery-conf keeps the password in the data folder, readable by the server alone.
    PGPASSWORD="$REPLICATION_PASSWORD" gosu postgres pg_basebackup \
        --host=primary --username=replicator --pgdata="$PGDATA" \
        --wal-method=stream --slot=replica --checkpoint=fast --write-recovery-conf
fi
exec docker-entrypoint.sh "$@"
