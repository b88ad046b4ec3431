# Steps that ./run, ./check and ./install share. They source this file with $here = the checkout.
# It writes only to $here/.venv and $here/.jupyterd; progress goes to standard error.
# shellcheck shell=bash

log=${here:?}/.jupyterd/setup.log

say() { printf 'jupyterd: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
root() { [ "$(id -u)" = 0 ]; }

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Prints the path of a Python interpreter, 3.11 or newer. Prefers the system's, because every account can execute it;
# other accounts cannot execute one in root's home, such as pyenv's.
find_python() {
  local each
  for each in /usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.14; do
    if new_enough "$each"; then command -v "$each"; return; fi
  done
  if command -v python3 >/dev/null; then
    say "$(python3 --version 2>&1) is too old: jupyterd needs Python 3.11 or newer. On Debian 12 or later, type: sudo apt install python3"
  else
    say 'python3 is not installed. Type: sudo apt install python3 python3-venv'
  fi
  return 1
}

# step WHAT COMMAND...: shows one progress line while COMMAND writes to the log, then the seconds it took or why it failed.
step() {
  local what=$1 begun=$SECONDS ticker='' code=0; shift
  if [ -t 2 ]; then ticking "$what" & ticker=$!; else say "$what ..."; fi
  # The command runs in the foreground, so that Ctrl-C reaches both it and this script.
  printf '\n== %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null || code=$?
  if [ -n "$ticker" ]; then kill "$ticker" 2>/dev/null || true; wait "$ticker" 2>/dev/null || true; printf '\r\033[K' >&2; fi
  if [ "$code" = 0 ]; then say "$what: done in $((SECONDS - begun)) s"; return; fi
  say "$what: failed after $((SECONDS - begun)) s. The last lines of $log:"
  tail -n 15 "$log" >&2
  return "$code"
}

# Shows the seconds and the last line of the log, once a second, while the script runs.
ticking() {
  local begun=$SECONDS width line
  trap 'exit 0' TERM
  width=$(stty size <&2 2>/dev/null | cut -d ' ' -f 2) || true; width=${width:-80}
  [ "$width" -gt 20 ] || width=80  # a terminal without a size reports 0
  while kill -0 $$ 2>/dev/null; do
    line=$(tail -n 1 "$log" 2>/dev/null | tr -cd '[:print:]')
    line="jupyterd: $1: $((SECONDS - begun)) s  $line"
    printf '\r\033[K%s' "${line:0:width-1}" >&2
    sleep 1 & wait $!
  done
}

# Python's venv module needs ensurepip, which Debian ships in a separate package.
need_venv() {
  local python=$1 package=python3-venv may=() answer=''
  "$python" -I -c 'import ensurepip' 2>/dev/null && return
  case $python in *python3.*) package=${python##*/}-venv ;; esac
  if command -v apt-get >/dev/null; then
    if root; then may=(env)
    elif command -v sudo >/dev/null && [ -t 0 ] && [ -t 2 ]; then
      printf 'jupyterd: %s is missing. Install it now, with sudo apt-get? [y/N] ' "$package" >&2
      read -r answer || true
      case $answer in [yY]*) ! sudo -v || may=(sudo -n env) ;; esac
    fi
  fi
  [ ${#may[@]} -gt 0 ] || die "$package is missing. Type: sudo apt install $package   and then run this command again.
    If you may not use sudo, ask the administrator for it, or install uv, which needs neither: https://docs.astral.sh/uv/"
  step "installing $package" with_apt "$package" && return
  die "$package could not be installed. Type: sudo apt update && sudo apt install $package"
}
with_apt() {
  local apt=("${may[@]}" DEBIAN_FRONTEND=noninteractive apt-get)
  "${apt[@]}" install -y --no-install-recommends "$@" ||
    { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"; }
}

# make_venv PYTHON DIR
make_venv() {
  if command -v uv >/dev/null; then uv venv --quiet --python "$1" "$2"; else "$1" -I -m venv "$2"; fi
}

# install_into DIR ARGS...: installs with uv or pip, with pinned versions and without leaving a cache.
install_into() {
  local venv=$1 cache=(PIP_NO_CACHE_DIR=1); shift
  if command -v uv >/dev/null; then
    # uv does not read pip's variables: pass on those for which it has its own.
    env ${PIP_INDEX_URL:+UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"} \
      ${PIP_EXTRA_INDEX_URL:+UV_INDEX="${UV_INDEX:-$PIP_EXTRA_INDEX_URL}"} \
      ${PIP_FIND_LINKS:+UV_FIND_LINKS="${UV_FIND_LINKS:-$PIP_FIND_LINKS}"} \
      ${PIP_NO_INDEX:+UV_NO_INDEX="${UV_NO_INDEX:-$PIP_NO_INDEX}"} \
      ${PIP_CERT:+SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"} \
      UV_NO_CACHE=1 \
      uv pip install --python "$venv/bin/python" --compile-bytecode --constraint "$here/constraints.txt" "$@"
  else
    # --use-pep517: one dependency is only available as source, and old versions of pip print a red warning without this.
    [ -z "${PIP_CACHE_DIR:-}" ] || cache=()
    env PIP_DISABLE_PIP_VERSION_CHECK=1 "${cache[@]}" \
      "$venv/bin/python" -I -m pip install --use-pep517 --constraint "$here/constraints.txt" "$@"
  fi
}

pins() { cat "$here/pyproject.toml" "$here/constraints.txt" | sha256sum; }
is_made() { [ "$(cat "$here/.venv/made" 2>/dev/null)" = "$here" ] && "$here/.venv/bin/python" -I -c '' 2>/dev/null; }
# is_there EXTRA: whether there is nothing to set up.
is_there() { [ "$(cat "$here/.venv/has-$1" 2>/dev/null)" = "$(pins)" ] && is_made; }

# environment EXTRA: makes $here/.venv with the project in it (editable, so that changed source files take effect).
# EXTRA is "run", "check" or "mutation". Two stamp files say that there is nothing to do: `made` (the venv was made at this
# path and its interpreter works) and `has-EXTRA` (these pins are installed). Both are removed while pip runs: if a set-up
# is interrupted, pip may take half a package for a whole one, so the next set-up makes a new .venv.
environment() {
  local extra=$1 venv=$here/.venv python target=$here
  ! is_there "$extra" || return 0
  { mkdir -p "$here/.jupyterd" && : >>"$here/.jupyterd/lock" && [ -w "$here" ]; } 2>/dev/null ||
    die "$(id -un) cannot write to $here: use your own clone"
  exec 9>"$here/.jupyterd/lock"
  if ! flock -n 9; then
    say 'another set-up is running here; waiting for it (at most 15 minutes)'
    flock -w 900 9 || die 'the other set-up has not finished; look for it with: ps -ef | grep pip'
    if is_there "$extra"; then exec 9>&-; return 0; fi
  fi
  umask 022
  : >"$log"
  if ! is_made; then
    python=$(find_python) || exit 1
    command -v uv >/dev/null || need_venv "$python"
    rm -rf "$venv"
    step "making .venv" make_venv "$python" "$venv" || exit 1
  fi
  rm -f "$venv"/made "$venv"/has-*
  [ "$extra" = run ] || target="${here}[$extra]"
  step 'installing Jupyter (about a minute)' \
    install_into "$venv" --editable "$target" || exit 1
  pins >"$venv/has-run"
  [ "$extra" = run ] || pins >"$venv/has-$extra"
  printf '%s\n' "$here" >"$venv/made"
  exec 9>&-
}
