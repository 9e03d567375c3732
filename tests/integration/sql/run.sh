#!/bin/sh
# Runs the SQL tests, each in a fresh database with all migrations applied and the statements prepared.
#   run.sh [URI [FILE...]]  URI: a superuser's connection to any database of a throw-away cluster
#                           (default: $RELEVO_TEST_POSTGRES)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
migrations=$here/../../../src/integrations/postgres/sql/migrations
uri=${1:-${RELEVO_TEST_POSTGRES:?run it by scripts/test, or give a URI}}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- "$here"/*.sql

in_database() {
  case $uri in
    postgres://*|postgresql://*) printf '%s\n' "$uri" | sed "s#^\(postgres[a-z]*://[^/?]*\)\(/[^?]*\)\{0,1\}#\1/$1#" ;;
    *) printf "%s dbname='%s'\n" "$uri" "$1" ;;
  esac
}
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$@"; }

work=$(mktemp -d)
database=
drop_database() {
  [ -n "$database" ] || return 0
  PGOPTIONS='-c client_min_messages=error' sql "$uri" -c "DROP DATABASE IF EXISTS \"$database\" WITH (FORCE)" || true
  for role in _writer _relay _worker _stranger _owner; do
    PGOPTIONS='-c client_min_messages=error' sql "$uri" -c "DROP ROLE IF EXISTS \"$database$role\"" || true
  done
  database=
}
trap 'drop_database; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

"$here"/prepare.sh > "$work/prepare.sql"
for file in "$@"; do
  name=$(basename "$file" .sql)
  database=relevo_sql_${name}_$$
  target=$(in_database "$database")
  sql "$uri" -c "CREATE DATABASE \"$database\" TEMPLATE template0 ENCODING 'UTF8'"
  number=0
  for migration in "$migrations"/*.sql; do
    number=$((number + 1))
    sql "$target" --single-transaction -f "$migration" \
      -c "INSERT INTO relevo.migration (version, name, checksum) VALUES ($number, '$(basename "$migration" .sql)', '')"
  done
  if ! sql "$target" -f "$here/helpers/assert.sql" -f "$work/prepare.sql" -f "$file" > "$work/output" 2> "$work/errors" ||
     [ "$(tail -n 1 "$work/output")" != ok ]; then
    cat "$work/errors" >&2
    echo "FAILED $name" >&2
    exit 1
  fi
  echo "ok $name"
  drop_database
done
