#!/bin/sh
# A wrong include must not compile: each target sees only the include roots it links.
#   layering_test.sh COMPILER SOURCE_DIR
set -eu
compiler=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compiles() { # compiles HEADER FOLDER...: with the include roots of these folders only
  header=$1
  shift
  set -- $(for folder in "$@"; do printf -- '-I%s/src/%s/include ' "$source" "$folder"; done)
  printf '#include "%s"\n' "$header" > "$work/try.cpp"
  "$compiler" -std=c++20 -fsyntax-only "$@" "$work/try.cpp" 2> "$work/errors"
}
allowed() { compiles "$@" || { echo "must compile: $*"; cat "$work/errors"; exit 1; }; }
refused() { ! compiles "$@" || { echo "must not compile: $*"; exit 1; }; }

# What each folder may include, as its CMakeLists.txt links it.
allowed relevo/core/error.hpp core
allowed relevo/feed/window_reader.hpp core feed
allowed relevo/relay/relay.hpp core feed relay
allowed relevo/worker/schedule_runner.hpp core worker
allowed relevo/worker/circuit_breaker.hpp core worker
allowed relevo/webhook/endpoint.hpp core worker integrations/webhook
refused relevo/feed/ticker.hpp core
refused relevo/relay/publisher.hpp core feed
refused relevo/postgres/connection.hpp core feed relay
refused relevo/kafka/publisher.hpp core feed relay integrations/postgres
refused relevo/config/config.hpp core feed relay integrations/kafka
refused relevo/webhook/http_client.hpp core feed worker
refused relevo/config/secret.hpp core feed worker integrations/webhook

# And the build gives them no more than that.
grep -q 'relevo_library(core)' "$source/src/core/CMakeLists.txt"
grep -q 'relevo_library(feed DEPENDS relevo_core)' "$source/src/feed/CMakeLists.txt"
grep -q 'relevo_library(relay DEPENDS relevo_core relevo_feed)' "$source/src/relay/CMakeLists.txt"
echo ok
