# shellcheck shell=bash
# One node: its namespaces, crispd and kubelet.

# own_namespaces PID: whether the holder has entered its namespaces.
own_namespaces() {
  [[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" &&
    "$(readlink "/proc/$1/exe")" == */sleep ]]
}

# make_nodes: the namespaces of both nodes and the cable between them.
make_nodes() {
  local node pids=()
  # Some tools make it, and leave it; kubelet's directory is below no option of kubelet's.
  mkdir -p /run/netns
  [[ -d /var/lib/kubelet ]] || {
    mkdir /var/lib/kubelet
    touch "$lab/made-kubelet"
  }
  for node in 1 2; do
    mkdir -p "$lab/node-$node"/{pki,logs,manifests,volumes,plugins,roots,sysctl}
    launch "node-$node" unshare --mount --net --propagation private sleep infinity
    pids[node]="$(running "node-$node")"
    wait_for 10 own_namespaces "${pids[node]}"
    in_node "$node" "$here/parts/node_mounts" "$lab/node-$node/roots"
  done
  # From inside: before Linux 6.15 a name that the host has is refused for another namespace, too.
  in_node 1 ip link add eth0 type veth peer name eth0 netns "${pids[2]}"
  for node in 1 2; do
    in_node "$node" ip link set lo up
    in_node "$node" ip address add "$(address_of "$node")/24" dev eth0
    in_node "$node" ip link set eth0 up
  done
  route_pods 1
  route_pods 2
}

# route_pods N: the way from node N to the other's pods. It goes when the link goes down.
route_pods() {
  local other=$((3 - $1))
  in_node "$1" ip route replace "$(pods_of "$other")" via "$(address_of "$other")"
}

# make_cgroups N: kubelet wants its root in every controller of cgroup v1.
make_cgroups() {
  local hierarchy file name
  name="$(instance_of "$1")"
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    mkdir -p "/sys/fs/cgroup/$name"
    return
  fi
  for hierarchy in /sys/fs/cgroup/*; do
    [[ -e "$hierarchy/cgroup.procs" ]] || continue
    mkdir -p "$hierarchy/$name"
    [[ -e "$hierarchy/$name/cpuset.cpus" ]] || continue
    for file in cpuset.cpus cpuset.mems; do
      cat "$hierarchy/$file" >"$hierarchy/$name/$file"
    done
  done
}

# The arguments of deploy/instance for node N.
crispd_instance() {
  instance=(--bridge crisp-k0 --subnet "$(pods_of "$1")" --certs "$lab/certs.d"
    --bin "${CRISP_TEST_BIN_DIR:-$root/build/release/bin}")
}

start_crispd() {
  local instance
  crispd_instance "$1"
  in_node "$1" "$root/deploy/instance" start "$(instance_of "$1")" "${instance[@]}" -- \
    ${CRISP_TEST_NATIVE:+--cni-native=true}
}

# kill_crispd N SIGNAL: and waits for its end.
crispd_of() { cat "/run/$(instance_of "$1")/pid"; }
crispd_gone() { ! start_time "$1" >/dev/null; }
kill_crispd() {
  local pid
  pid="$(crispd_of "$1")"
  kill "-$2" "$pid"
  wait_for 10 crispd_gone "$pid"
}

# kubelet_config N [KEY VALUE]...: with other values for some keys. Why each is there:
# failCgroupV1       kubelet from 1.35 on refuses cgroup v1
# cgroupRoot         all cgroups of the node below one
# makeIPTablesUtilChains, oomScoreAdj, failSwapOn: leave the machine alone
# eviction, image GC the machine's disk may be fuller than the defaults allow
# containerLog       small, so that logs are rotated while one waits
# nodeLease          short, so that the control plane soon knows that a node is lost
kubelet_config() {
  local node="$1" dir="$lab/node-$1" name
  name="$(instance_of "$node")"
  shift
  jq -n --arg dir "$dir" --arg name "$name" --arg gates "${CRISP_TEST_GATES:-}" '{
    apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration",
    containerRuntimeEndpoint: "unix:///run/\($name)/crisp.sock",
    failCgroupV1: false, cgroupRoot: "/\($name)", cgroupDriver: "cgroupfs",
    makeIPTablesUtilChains: false, oomScoreAdj: 0, failSwapOn: false,
    evictionHard: {"memory.available": "100Mi", "nodefs.available": "1%",
      "imagefs.available": "1%"},
    imageGCHighThresholdPercent: 100,
    staticPodPath: "\($dir)/manifests", fileCheckFrequency: "1s", podLogsDir: "\($dir)/logs",
    volumePluginDir: "\($dir)/plugins",
    containerLogMaxSize: "256Ki", containerLogMaxFiles: 20, containerLogMonitorInterval: "3s",
    nodeLeaseDurationSeconds: 20, maxPods: 240, serializeImagePulls: false, registryPullQPS: 0,
    authentication: {anonymous: {enabled: true}, webhook: {enabled: false}},
    authorization: {mode: "AlwaysAllow"},
    featureGates: ($gates | split(",") | map({(.): true}) | add // {})
  }' >"$dir/config.json"
  while (($# > 0)); do
    jq --arg key "$1" --argjson value "$2" '.[$key] = $value' "$dir/config.json" \
      >"$dir/config.new"
    mv "$dir/config.new" "$dir/config.json"
    shift 2
  done
}

# start_kubelet N [PROGRAM]: in the cluster.
start_kubelet() { launch_kubelet "$1" "${2:-kubelet}" --kubeconfig="$lab/node-$1.conf"; }

# launch_kubelet N PROGRAM FLAG...: without --kubeconfig it is alone, for static pods only. Each
# version has a directory of its own: none reads what a newer one wrote.
launch_kubelet() {
  local node="$1" program="$2" dir="$lab/node-$1"
  shift 2
  launch "kubelet-$node" nsenter --target "$(running "node-$node")" --mount --net -- \
    unshare --mount --propagation unchanged "$here/parts/node_mounts" kubelet "$dir/sysctl" \
    "$root/build/tools/$program" --config="$dir/config.json" --root-dir="$dir/roots/$program" \
    --cert-dir="$dir/pki" --hostname-override="node-$node" --node-ip="$(address_of "$node")" \
    --v=2 "$@"
}

# second_kubelet WHAT [KEY VALUE]...: has kubelet of node 2 run alone, in the cluster, or in the
# cluster as 1.36. Behaviours that run at the same time may ask for the same.
second_kubelet() {
  local what="$1"
  shift
  exec 8>"$lab/node-2.lock"
  flock 8
  if [[ "$(cat "$lab/node-2.state" 2>/dev/null)" != "$what $*" ]] || stopped kubelet-2; then
    end kubelet-2
    # The scheduler leaves it alone: behaviours that want pods there name the node.
    kubelet_config 2 registerWithTaints '[{"key": "second", "effect": "NoSchedule"}]' "$@"
    case "$what" in
      alone) launch_kubelet 2 kubelet ;;
      cluster) start_kubelet 2 ;;
      1.36) start_kubelet 2 kubelet-1.36 ;;
    esac
    echo "$what $*" >"$lab/node-2.state"
  fi
  exec 8>&-
}

# remove_node N: its pods, crispd, mounts and cgroups. The holder ends last.
remove_node() {
  local node="$1" name instance where=() status=0
  name="$(instance_of "$node")"
  end "kubelet-$node" || status=1
  if running "node-$node" >/dev/null; then
    where=(in_node "$node")
  else
    # A reboot has ended it, and with it the settings to restore; the host's are others.
    rm -f "/var/lib/$name/before"
  fi
  cp "/var/lib/$name/crispd.log" "$logs/crispd-$node.log" 2>/dev/null || true
  crispd_instance "$node"
  "${where[@]}" "$root/deploy/instance" down "$name" "${instance[@]}" || status=1
  end "node-$node" KILL || status=1
  return "$status"
}
