# shellcheck shell=bash
# One host: its wire, its start, its end. Sourced after common.sh.

# Gives a host a network namespace of its own and a wire to the bridge, plugged in. Its hardware address is the same
# at every boot, as a real one's is: others would go on sending to the old one for half a minute.
wire_host() {
  local host=$1 ns
  ns=$(netns_of "$host")
  ip netns add "$ns"
  ip -n "$SWITCH" link add "$host" type veth peer name eth0 address "02:77:00:00:00:${ADDRESS[$host]##*.}" netns "$ns"
  ip -n "$SWITCH" link set "$host" master br0 up
  ip -n "$ns" link set lo up
  ip -n "$ns" addr add "${ADDRESS[$host]}/24" dev eth0
  ip -n "$ns" link set eth0 up
}

# Starts a host on its disk: returns when its first process has set everything up and sshd listens. That process is the
# lab's own, or systemd.
start_host() {
  local host=$1 init=${2:-lab} own=() ns folder group launcher
  [ "$init" = lab ] || own=(--cgroup)
  ns=$(netns_of "$host")
  folder=$STATE/host/$host
  group=$(cgroup_of "$host")
  mkdir -p "$folder" "$DISK/$host/upper" "$DISK/$host/work" "$DISK/$host/root" "$group"
  rm -f "$folder/pid1"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec setsid ip netns exec "$ns" unshare --mount --propagation private --uts --ipc --pid ${own[@]+"${own[@]}"} \
      --fork --kill-child "$LAB_HERE/lib/enter-root" "$host" "$DISK" "$FILES" "$LAB_REPO" "$init" </dev/null >"$folder/console" 2>&1
  ) &
  launcher=$!
  disown "$launcher"
  await 10 "$host to start" host_is_ready "$host" "$launcher" || {
    warn "the end of $host's console:"
    tail -n 15 "$folder/console" >&2 || true
    return 1
  }
}

# The launcher becomes `ip netns exec`, then `unshare`, under one process id; its child is the host's first process.
host_is_ready() {
  local host=$1 launcher=$2 pid
  pid=$(pgrep -P "$launcher" | head -n 1)
  [ -n "$pid" ] && [ -e "/proc/$pid/root/run/host-is-ready" ] || return 1
  printf '%s\n' "$pid" >"$STATE/host/$host/pid1"
}

# Ends a host's processes at once. The caller says what happens to the wire.
kill_host() {
  local host=$1
  empty_cgroup "$(cgroup_of "$host")"
  rm -f "$STATE/host/$host/pid1"
}

# A power cut: first the wire, so that nobody hears the processes end; then the processes; then wire and namespace, so
# that a later boot has nothing to say about old connections.
crash_host() {
  local host=$1
  ip -n "$SWITCH" link set "$host" down
  kill_host "$host"
  ip -n "$SWITCH" link del "$host"
  ip netns del "$(netns_of "$host")"
}
