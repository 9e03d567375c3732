#!/bin/sh
# Prints the program's statements as PREPARE commands for psql, each under its own name.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
exec awk '
  /^-- name: / { name = $3; printf "PREPARE %s AS\n", name; next }
  /^--/ || name == "" { next }
  { print }
  /;[ \t]*$/ { name = "" }
' "$here"/../../../src/integrations/postgres/sql/statements/*.sql
