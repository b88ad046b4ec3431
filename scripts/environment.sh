# The steps that ./run, ./check and ./install share, sourced by them with $here = the checkout.
# Everything that is written lies in $here/.venv and $here/.jupyterd; progress goes to standard error.
# shellcheck shell=bash

log=${here:?}/.jupyterd/setup.log

say() { printf 'jupyterd: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
root() { [ "$(id -u)" = 0 ]; }

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Prints an interpreter, 3.11 or newer. The system's own comes first: every account can execute it, which a pyenv of
# root's is not.
find_python() {
  local each
  for each in /usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.14; do
    if new_enough "$each"; then command -v "$each"; return; fi
  done
  if command -v python3 >/dev/null; then
    say "$(python3 --version 2>&1) is too old, jupyterd needs Python 3.11 or newer. Debian 12 and later have it: sudo apt install python3"
  else
    say 'there is no python3. Type: sudo apt install python3 python3-venv'
  fi
  return 1
}

# step WHAT COMMAND...: one progress line while COMMAND writes to the log; its end shows the seconds, or why it failed.
step() {
  local what=$1 begun=$SECONDS ticker='' code=0; shift
  if [ -t 2 ]; then ticking "$what" & ticker=$!; else say "$what ..."; fi
  # The command stays in the foreground: Ctrl-C reaches it and this script alike.
  printf '\n== %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null || code=$?
  if [ -n "$ticker" ]; then kill "$ticker" 2>/dev/null || true; wait "$ticker" 2>/dev/null || true; printf '\r\033[K' >&2; fi
  if [ "$code" = 0 ]; then say "$what: done in $((SECONDS - begun)) s"; return; fi
  say "$what: failed after $((SECONDS - begun)) s. The last lines of $log:"
  tail -n 15 "$log" >&2
  return "$code"
}

# Shows the seconds and the newest line of the log, once a second, for as long as the script lives.
ticking() {
  local begun=$SECONDS width line
  trap 'exit 0' TERM
  width=$(stty size <&2 2>/dev/null | cut -d ' ' -f 2) || true; width=${width:-80}
  [ "$width" -gt 20 ] || width=80  # a terminal without a size says 0
  while kill -0 $$ 2>/dev/null; do
    line=$(tail -n 1 "$log" 2>/dev/null | tr -cd '[:print:]')
    line="jupyterd: $1: $((SECONDS - begun)) s  $line"
    printf '\r\033[K%s' "${line:0:width-1}" >&2
    sleep 1 & wait $!
  done
}

# Python's own venv needs ensurepip, which Debian keeps in a package of its own.
need_venv() {
  local python=$1 package=python3-venv may=()
  "$python" -I -c 'import ensurepip' 2>/dev/null && return
  case $python in *python3.*) package=${python##*/}-venv ;; esac
  if command -v apt-get >/dev/null; then
    if root; then may=(env)
    elif sudo -n true 2>/dev/null; then may=(sudo -n env)
    fi
  fi
  [ ${#may[@]} -gt 0 ] || die "$package is missing. Type: sudo apt install $package   and then this command again"
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

# install_into DIR ARGS...: pip's or uv's install, pinned, with no cache left behind.
install_into() {
  local venv=$1 cache=(PIP_NO_CACHE_DIR=1); shift
  if command -v uv >/dev/null; then
    # uv reads none of pip's variables: pass on those that have a twin.
    env ${PIP_INDEX_URL:+UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"} \
      ${PIP_EXTRA_INDEX_URL:+UV_INDEX="${UV_INDEX:-$PIP_EXTRA_INDEX_URL}"} \
      ${PIP_FIND_LINKS:+UV_FIND_LINKS="${UV_FIND_LINKS:-$PIP_FIND_LINKS}"} \
      ${PIP_NO_INDEX:+UV_NO_INDEX="${UV_NO_INDEX:-$PIP_NO_INDEX}"} \
      ${PIP_CERT:+SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"} \
      UV_NO_CACHE=1 \
      uv pip install --python "$venv/bin/python" --compile-bytecode --constraint "$here/constraints.txt" "$@"
  else
    # --use-pep517: one dependency comes as source, and old pips warn in red about their other way to build it.
    [ -z "${PIP_CACHE_DIR:-}" ] || cache=()
    env PIP_DISABLE_PIP_VERSION_CHECK=1 "${cache[@]}" \
      "$venv/bin/python" -I -m pip install --use-pep517 --constraint "$here/constraints.txt" "$@"
  fi
}

# environment EXTRA: $here/.venv with the project in it (editable, so that a changed source file needs nothing).
# EXTRA is "run", "check" or "mutation". Two stamps tell at once that nothing is to do: `made` (this place, an interpreter that
# works) and `has-EXTRA` (these pins). Both are absent while pip works: what an interrupted set-up left, half a package
# that pip believes in, is thrown away by the next one.
environment() {
  local extra=$1 venv=$here/.venv python has target=$here
  has=$(cat "$here/pyproject.toml" "$here/constraints.txt" | sha256sum)
  is_made() { [ "$(cat "$venv/made" 2>/dev/null)" = "$here" ] && "$venv/bin/python" -I -c '' 2>/dev/null; }
  is_there() { [ "$(cat "$venv/has-$extra" 2>/dev/null)" = "$has" ] && is_made; }
  ! is_there || return 0
  { mkdir -p "$here/.jupyterd" && : >>"$here/.jupyterd/lock" && [ -w "$here" ]; } 2>/dev/null ||
    die "$here cannot be written by $(id -un): use a clone of your own"
  exec 9>"$here/.jupyterd/lock"
  if ! flock -n 9; then
    say 'another set-up is at work here, waiting for it (at most 15 minutes)'
    flock -w 900 9 || die 'the other set-up did not end; look for it with: ps -ef | grep pip'
    if is_there; then exec 9>&-; return 0; fi
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
  printf '%s\n' "$has" >"$venv/has-run"
  [ "$extra" = run ] || printf '%s\n' "$has" >"$venv/has-$extra"
  printf '%s\n' "$here" >"$venv/made"
  exec 9>&-
}
