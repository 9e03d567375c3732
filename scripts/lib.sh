# shellcheck shell=bash disable=SC2034 # variables for those who source it
# Sourced by the scripts beside it, not run: paths, messages, ports, processes, options of the server scripts.

shopt -s inherit_errexit # a failure inside $(…) is one too

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
scripts=$repo/scripts

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$@"
  exit 1
}

# The usage of a script is the comment it opens with.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

usage_error() {
  say "$* (see ${0##*/} --help)"
  exit 2
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    command -v sudo >/dev/null || die "must run as root (there is no sudo): $*"
    sudo "$@"
  fi
}

# The tool in the version the project is written for, else the newest one there is (scripts/install sees to one).
versioned_tool() { # versioned_tool clang-format 16
  local found
  found=$(compgen -c "$1-" | grep -E "^$1-[0-9]+$" | sort -t- -k3 -rnu) || true
  if grep -qx "$1-$2" <<<"$found"; then
    echo "$1-$2"
  elif [[ -n $found ]]; then
    head -n 1 <<<"$found"
  else
    command -v "$1" || die "no $1: run scripts/install lint"
  fi
}

# A port nobody listens on, below those the kernel hands to outgoing connections. Another process may still be
# faster: who starts a server on it tries again with the next one.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + SRANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
      echo "$port"
      return
    }
  done
  die "no free port between 20000 and 32000"
}

wait_until() { # wait_until SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# Is PID alive, no zombie, and is TEXT in its command line? (A stale pid file may name somebody else's process.)
is_process() { # is_process PID TEXT
  [[ -n $1 && $({ tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null) == *"$2"* ]]
}

is_gone() { ! is_process "$@"; }

# --- scripts/postgres and scripts/kafka -----------------------------------------------------------------------------

# Throw-away data of this clone. Not inside it: the user postgres cannot enter a clone below a private directory.
state_dir() { echo "/var/tmp/relevo-$(id -un)-$(cksum <<<"$repo" | cut -d' ' -f1)"; }

# Sets dir, port, keep and settings from the options; NAME is the default directory's last part.
parse_server_options() { # parse_server_options NAME [OPTION...]
  dir=$(state_dir)/$1 port='' keep='' settings=()
  shift
  while (($#)); do
    case $1 in
      --keep) keep=yes && shift && continue ;;
      --dir | --port | --set) (($# > 1)) || usage_error "$1 needs a value" ;;
      *) usage_error "unknown option: $1" ;;
    esac
    case $1 in
      --dir) dir=$(realpath -m -- "$2") ;;
      --port)
        [[ $2 =~ ^[0-9]{1,5}$ ]] || usage_error "not a port: $2"
        port=$2
        ;;
      --set)
        [[ $2 =~ ^[A-Za-z_.]+=[^$'\n']*$ ]] || usage_error "not name=value: $2"
        settings+=("$2")
        ;;
    esac
    shift 2
  done
}

# A server directory is made by us or was empty, and carries MARKER: nothing else is ever removed.
marker=.relevo-throw-away

make_server_dir() { # make_server_dir DIR
  if [[ -e $1 && ! -e $1/$marker ]]; then
    [[ -d $1 && -z $(ls -A "$1") ]] || die "$1 exists and is not a directory of ours"
  fi
  (umask 022 && mkdir -p "$1" && touch "$1/$marker")
  [[ -O $1/$marker ]] || die "$1 belongs to somebody else"
  link_from_clone "$1"
}

# .local/postgres -> /var/tmp/…: convenience only, hence no error where the clone is read-only.
link_from_clone() { # link_from_clone DIR
  [[ ${1%/*} == "$(state_dir)" && -w $repo ]] || return 0
  mkdir -p "$repo/.local" && ln -sfn "$1" "$repo/.local/${1##*/}"
}

remove_server_dir() { # remove_server_dir DIR
  [[ -e $1/$marker ]] || return 0
  find "$1" -mindepth 1 ! -path "$1/$marker" -delete
  rm -f "$1/$marker"
  rmdir "$1" 2>/dev/null || true # may be a mount point
  [[ ${1%/*} != "$(state_dir)" ]] || rmdir "${1%/*}" 2>/dev/null || true
  if [[ $(readlink "$repo/.local/${1##*/}") == "$1" ]]; then
    rm -f "$repo/.local/${1##*/}"
    rmdir "$repo/.local" 2>/dev/null || true
  fi
}
