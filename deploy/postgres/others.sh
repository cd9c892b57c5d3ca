#!/bin/bash
# Runs once, when the data folder of the other aliases is made: one database for each of them.
set -euo pipefail

psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --set=site="$SITE_PASSWORD" <<'SQL'
CREATE ROLE polystore LOGIN PASSWORD :'site';
GRANT pg_monitor TO polystore;
CREATE DATABASE cache OWNER polystore;
CREATE DATABASE analytics OWNER polystore;
CREATE DATABASE documents OWNER polystore;
CREATE DATABASE compliance OWNER polystore;
CREATE DATABASE data OWNER polystore;
SQL
