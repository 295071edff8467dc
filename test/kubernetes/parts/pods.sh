# shellcheck shell=bash
# What behaviours use. A behaviour works with pods that it has from the API on node 1 (mode api), or
# from the manifests of a kubelet without API on node 2 (mode static).
mode=api node=1
manifests=() # that this behaviour has started in mode static
figures=/dev/stdout
cleanup=: # a function that gives back what a behaviour has changed outside its namespace
jq_words='
  def ready: any(.status.conditions[]?; .type == "Ready" and .status == "True");
  def container($name): (.status.containerStatuses // [])[] | select(.name == $name);
  def running($name): any(container($name); .state.running != null);
  def ended($name; $code): any(container($name); .state.terminated.exitCode == $code);
  def restarts: [.status.containerStatuses[]?.restartCount] | add // 0;'

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
# same WHAT GOT WANTED
same() { [[ "$2" == "$3" ]] || fail "$1: '$2' instead of '$3'"; }
# has WHAT TEXT PART
has() { [[ "$2" == *"$3"* ]] || fail "$1: '$2' has no '$3'"; }
# figure TEXT: shown in the tier's output.
figure() { echo "$*" >>"$figures"; }

# watched SECONDS CONDITION ARGUMENT...: waits until an object of `kubectl get ARGUMENT...` fulfils
# jq's condition, and prints that object.
watched() {
  local seconds="$1" condition="$2" objects watcher status=0
  shift 2
  exec {objects}< <(exec timeout "$seconds" kubectl get --watch --output=json "$@")
  watcher=$!
  jq --null-input --exit-status "$jq_words first(inputs | select($condition))" <&"$objects" ||
    status=1
  kill "$watcher" 2>/dev/null || true
  exec {objects}<&-
  ((status == 0)) || fail "$*: not within $seconds s: $condition"
}

# busybox NAME [OPTION...] -- COMMAND...: a pod of one container that has its name.
busybox() {
  kubectl run "$1" --image=busybox --image-pull-policy=IfNotPresent --restart=Never --command \
    "${@:2}"
}
# apply: the manifest that comes on stdin.
apply() { kubectl apply --filename=-; }

# The manifest pods/NAME.yaml; @DIR@ is a directory of the node for this behaviour.
manifest() { sed "s|@DIR@|$dir|g" "$here/pods/$1.yaml"; }

start_pod() {
  if [[ "$mode" == api ]]; then
    manifest "$1" | apply
  else
    manifest "$1" >"$lab/node-$node/$1.yaml"
    mv "$lab/node-$node/$1.yaml" "$lab/node-$node/manifests/"
    manifests+=("$1")
  fi
}

# pod_json NAME
pod_json() {
  if [[ "$mode" == api ]]; then
    kubectl get pod "$1" --output=json
  else
    in_node "$node" curl --noproxy '*' --insecure --silent --fail --max-time 5 \
      https://127.0.0.1:10250/pods |
      jq --exit-status --arg name "$1-node-$node" '.items[] | select(.metadata.name == $name)'
  fi
}
# pod_is NAME CONDITION
pod_is() { pod_json "$1" | jq --exit-status "$jq_words $2" >/dev/null; }

# wait_pod NAME SECONDS CONDITION: until jq's condition is true for the pod.
wait_pod() {
  if [[ "$mode" == api ]]; then
    watched "$2" "$3" pods --field-selector="metadata.name=$1" >/dev/null
  else
    wait_for "$2" pod_is "$1" "$3"
  fi
}

pod_ip() { pod_json "$1" | jq --raw-output --exit-status .status.podIP; }
pod_uid() { pod_json "$1" | jq --raw-output .metadata.uid; }
# container_id POD CONTAINER
container_id() {
  pod_json "$1" | jq --raw-output --exit-status --arg name "$2" '
    [.status | .containerStatuses, .initContainerStatuses, .ephemeralContainerStatuses | .[]?]
    | map(select(.name == $name))[0].containerID | sub("^[^/]*//"; "")'
}
# pod_exec POD CONTAINER COMMAND...
pod_exec() {
  local id
  id="$(container_id "$1" "$2")"
  crictl_on "$node" exec "$id" "${@:3}"
}
# pod_log POD CONTAINER
pod_log() {
  local id
  id="$(container_id "$1" "$2")"
  crictl_on "$node" logs "$id" 2>&1
}
# log_has POD CONTAINER TEXT
log_has() { [[ "$(pod_log "$1" "$2")" == *"$3"* ]]; }

# sandboxes UID: the ready ones of a pod.
sandboxes() { crictl_on "$node" pods --quiet --state ready --label "io.kubernetes.pod.uid=$1"; }
without_sandbox() { [[ -z "$(sandboxes "$1")" ]]; }
# The file that holds an address for a pod, as the CNI plugin host-local has it.
lease_of() { echo "/run/$(instance_of "$node")/ipam/$(instance_of "$node")/$1"; }
not_there() { [[ ! -e "$1" ]]; }

# delete_pod NAME: and waits until its sandbox and its address are gone.
delete_pod() {
  local uid ip
  uid="$(pod_uid "$1")"
  ip="$(pod_ip "$1")"
  if [[ "$mode" == api ]]; then
    kubectl delete pod "$1" --wait=false
  else
    rm "$lab/node-$node/manifests/$1.yaml"
  fi
  wait_for 60 without_sandbox "$uid"
  wait_for 10 not_there "$(lease_of "$ip")"
}

# cgroup_value CONTAINER_ID V1_FILE V2_FILE: what the kernel has, V1_FILE with its controller.
cgroup_value() {
  local base=/sys/fs/cgroup file="$3" directory
  [[ -e "$base/cgroup.controllers" ]] || {
    base+="/${2%%/*}"
    file="${2#*/}"
  }
  directory="$(find "$base/$(instance_of "$node")" -type d -name "$1" -print -quit)"
  cat "$directory/$file"
}
