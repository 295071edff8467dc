# shellcheck shell=bash
# Names, paths and processes of the cluster. Sourced by cluster, run and behaviour.
#
# There are two nodes, 1 and 2, each a network namespace and a mount namespace on this machine,
# which a process, the holder, keeps. The control plane and the registry run on node 1. Nothing of
# the cluster is in the host's network; of the host's files it writes below these directories:
#
#   /var/lib/crisp-kube                          everything but crispd's own
#   /var/lib/crisp-kube-N, /run/crisp-kube-N     crispd of node N (deploy/instance)
#   /sys/fs/cgroup/*/crisp-kube-N                cgroups of the pods of node N
export LC_ALL=C # for EPOCHREALTIME, too
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)"
here="$root/test/kubernetes"
lab=/var/lib/crisp-kube
logs="${CRISP_TEST_OUT:-$root/build/test-logs/kubernetes}"
registry_address=10.250.77.1:5000

address_of() { echo "10.250.77.$1"; }
instance_of() { echo "crisp-kube-$1"; }
pods_of() { echo "10.250.$1.0/24"; }

# Programs of the cluster find the programs built for it; no proxy stands between them.
environment() {
  unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
  export PATH="$root/build/tools:$PATH" KUBECONFIG="$lab/admin.conf"
  export KUBECACHEDIR="$lab/cache"
}

# wait_for SECONDS COMMAND...: repeats the command until it succeeds; fails if it never did.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || {
      echo "waited in vain: $*" >&2
      return 1
    }
    sleep 0.1
  done
}

# elapsed BEGIN: seconds since BEGIN, which was $EPOCHREALTIME, with two digits.
elapsed() {
  local hundredths=$(((${EPOCHREALTIME/./} - ${1/./}) / 10000))
  printf '%d.%02d\n' $((hundredths / 100)) $((hundredths % 100))
}

# The identity of a process is its pid with its start time: pids are used again.
start_time() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  stat="${stat##*) }"
  # shellcheck disable=SC2086  # fields are words
  set -- $stat
  [[ "$1" != Z ]] && echo "${20}"
}

# launch NAME COMMAND...: starts a program of the cluster; its output is in $logs/NAME.log.
launch() {
  local name="$1"
  shift
  mkdir -p "$lab/pids"
  setsid "$@" >>"$logs/$name.log" 2>&1 </dev/null 3>&- 8>&- 9>&- &
  echo "$! $(start_time "$!")" >"$lab/pids/$name"
}

# running NAME: prints the pid, if that process still runs.
running() {
  local pid start
  read -r pid start 2>/dev/null <"$lab/pids/$1" || return 1
  [[ -n "$start" && "$(start_time "$pid")" == "$start" ]] && echo "$pid"
}

stopped() { ! running "$1" >/dev/null; }

# end NAME [SIGNAL]: ends a program and waits for that; kills it if it takes over 10 s.
end() {
  local pid
  if pid="$(running "$1")"; then
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true # it may have ended just now
    wait_for 10 stopped "$1" || {
      kill -KILL "$pid" 2>/dev/null || true
      wait_for 10 stopped "$1" || return
    }
  fi
  rm -f "$lab/pids/$1"
}

# in_node N COMMAND...: runs it in the node's namespaces. Paths have to be absolute.
in_node() {
  local holder
  holder="$(running "node-$1")" || {
    echo "node $1 does not exist" >&2
    return 1
  }
  shift
  nsenter --target "$holder" --mount --net -- "$@"
}

# crictl_on N ARGUMENT...
crictl_on() {
  local node="$1"
  shift
  in_node "$node" "$root/build/tools/crictl" --config "/run/$(instance_of "$node")/crictl.yaml" "$@"
}

# fetch N URL: what a client on node N gets.
fetch() {
  in_node "$1" curl --noproxy '*' --silent --show-error --fail --max-time 5 "$2"
}
