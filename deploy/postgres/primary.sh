#!/bin/bash
# Runs once, when the primary's data folder is made: the site's role and database, the replica's
# role, its slot, and its line in pg_hba.conf.
set -euo pipefail

psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --set=site="$SITE_PASSWORD" --set=replication="$REPLICATION_PASSWORD" <<'SQL'
CREATE ROLE polystore LOGIN PASSWORD :'site';
GRANT pg_monitor TO polystore;
CREATE DATABASE polystore OWNER polystore;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
SELECT pg_create_physical_replication_slot('replica', true);
SQL
echo 'host replication replicator samenet scram-sha-256' >> "$PGDATA/pg_hba.conf"
