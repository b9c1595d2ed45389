# shellcheck shell=bash
# What every command of the lab shares: names, messages, waiting, and what a lab consists of.
# Sourced, never run. Invariant: everything a lab owns carries its name (network namespaces wk-NAME-*, the cgroups
# watchkeeper-lab/NAME, the folder /run/watchkeeper-lab/NAME), so that `down` finds all of it without any record.
# shellcheck disable=SC2034  # some of these are read by the files that source this one

LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_REPO=$(cd "$LAB_HERE/../.." && pwd)
LAB_RUN=/run/watchkeeper-lab
LAB_CACHE=/var/cache/watchkeeper-lab
HOSTS=(dm1 dm2 dm3 vp1 vp2)
declare -A ADDRESS=([dm1]=10.77.0.11 [dm2]=10.77.0.12 [dm3]=10.77.0.13 [vp1]=10.77.0.21 [vp2]=10.77.0.22)
SERVICES=(activemq repository daemon agent rest sync)
DMUSER_ID=7700
# The file modes below must not depend on who runs this.
umask 022

say() { printf '%s\n' "$*"; }
warn() { printf 'lab: %s\n' "$*" >&2; }
die() {
  warn "$*"
  exit 1
}
# Wrong usage is told apart from a failure by its exit code.
usage_error() {
  warn "$* (see --help)"
  exit 2
}

need_root() {
  [ "$(id -u)" = 0 ] || die "this must be run as root: the lab makes namespaces, mounts and cgroups (try sudo)"
}

# Sets the lab's name, from --name or the environment variable WATCHKEEPER_LAB.
set_name() {
  LAB=$1
  [[ $LAB =~ ^[a-z0-9][a-z0-9-]{0,31}$ ]] ||
    usage_error "a lab's name is made of small letters, digits and dashes, at most 32 of them: '$LAB'"
  STATE=$LAB_RUN/$LAB
  DISK=$STATE/disk
  SWITCH=wk-$LAB-switch
  FILES=$(readlink -m "$STATE/files") # a link where `up --dir` was given
}

netns_of() { printf 'wk-%s-%s' "$LAB" "$1"; }

is_one_of() {
  local wanted=$1 each
  shift
  for each in "$@"; do [ "$each" = "$wanted" ] && return 0; done
  return 1
}

need_host() { is_one_of "$1" "${HOSTS[@]}" || usage_error "there is no host '$1': the hosts are ${HOSTS[*]}"; }
need_service() { is_one_of "$1" "${SERVICES[@]}" || usage_error "there is no service '$1': the services are ${SERVICES[*]}"; }
need_lab() { [ -d "$STATE" ] || die "lab '$LAB' is not up"; }

# missing_packages [LIST]: those of packages.txt, or of another list beside it, that this machine lacks.
missing_packages() {
  local package file
  while read -r package file; do
    case $package in '' | \#*) continue ;; esac
    compgen -G "$file" >/dev/null || printf '%s\n' "$package"
  done <"$LAB_HERE/${1:-packages.txt}"
}

# await SECONDS WHAT COMMAND...: tries the command until it succeeds; says what it waited for when it never did.
await() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$(($(date +%s%N) + seconds * 1000000000))
  until ("$@") >/dev/null 2>&1; do
    if [ "$(date +%s%N)" -gt "$deadline" ]; then
      warn "waited $seconds s in vain for $what"
      return 1
    fi
    sleep 0.05
  done
}

# --- cgroups: one per host, to freeze it as a whole and to find every process that belongs to it ----------------------

# Prints the folder under which the lab's cgroups live: cgroup 2 where it is there (alone or beside version 1),
# else version 1's freezer.
cgroup_base() {
  local device folder kind rest
  while read -r device folder kind rest; do
    if [ "$kind" = cgroup2 ]; then
      printf '%s/watchkeeper-lab' "$folder"
      return 0
    fi
  done </proc/self/mounts
  while read -r device folder kind rest; do
    if [ "$kind" = cgroup ] && [[ ,${rest%% *}, == *,freezer,* ]]; then
      printf '%s/watchkeeper-lab' "$folder"
      return 0
    fi
  done </proc/self/mounts
  return 1
}

cgroup_of() {
  local base
  base=$(cgroup_base) || return 1
  printf '%s/%s/%s' "$base" "$LAB" "$1"
}

# freezer HOST freeze|thaw: returns when it has taken effect.
freezer() {
  local group
  group=$(cgroup_of "$1")
  if [ -e "$group/cgroup.freeze" ]; then
    if [ "$2" = freeze ]; then echo 1; else echo 0; fi >"$group/cgroup.freeze"
    await 5 "$1 to $2" grep -qx "frozen $([ "$2" = freeze ] && echo 1 || echo 0)" "$group/cgroup.events"
  elif [ -e "$group/freezer.state" ]; then
    if [ "$2" = freeze ]; then echo FROZEN; else echo THAWED; fi >"$group/freezer.state"
    await 5 "$1 to $2" grep -qx "$([ "$2" = freeze ] && echo FROZEN || echo THAWED)" "$group/freezer.state"
  else
    die "this kernel has no freezer for cgroups: freeze and thaw do not work here"
  fi
}

is_frozen() {
  local group
  group=$(cgroup_of "$1") || return 1
  grep -qsx 'frozen 1' "$group/cgroup.events" || grep -qsx FROZEN "$group/freezer.state"
}

# Kills every process of a cgroup and those below it, frozen ones too, and waits until none is left; then removes those
# below, which are what systemd made in a host.
empty_cgroup() {
  local group=$1 pid deadline
  [ -d "$group" ] || return 0
  deadline=$(($(date +%s) + 10))
  while [ -n "$(processes_of "$group")" ]; do
    [ "$(date +%s)" -le "$deadline" ] || {
      warn "processes in $group do not end: $(processes_of "$group" | tr '\n' ' ')"
      return 1
    }
    [ ! -e "$group/cgroup.freeze" ] || echo 0 >"$group/cgroup.freeze"
    [ ! -e "$group/freezer.state" ] || echo THAWED >"$group/freezer.state"
    while read -r pid; do
      kill -9 "$pid" 2>/dev/null || true
    done < <(processes_of "$group")
    sleep 0.02
  done
  find "$group" -mindepth 1 -depth -type d -exec rmdir {} +
}

processes_of() { find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null; }

# --- what a running host is ----------------------------------------------------------------------------------------

pid1_of() { cat "$STATE/host/$1/pid1" 2>/dev/null; }

is_running() {
  local pid
  pid=$(pid1_of "$1") && [ -n "$pid" ] && [ -d "/proc/$pid" ]
}

# enter HOST COMMAND...: runs a command as root in a host, inside its cgroup, with a clean environment.
enter() {
  local host=$1 pid
  shift
  is_running "$host" || die "$host is not running (lab boot $host starts it)"
  ! is_frozen "$host" || die "$host is frozen: nothing can be run in it (lab thaw $host)"
  pid=$(pid1_of "$host")
  (
    echo "$BASHPID" >"$(cgroup_of "$host")/cgroup.procs"
    exec nsenter -t "$pid" -m -u -i -n -p -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
  )
}

# in_switch COMMAND...: runs a command in the namespace that holds the bridge.
in_switch() { ip netns exec "$SWITCH" "$@"; }
