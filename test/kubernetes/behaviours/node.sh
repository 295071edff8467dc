# shellcheck shell=bash
# What kubelet does on its node: eviction, logs, images, drain, and restarts below running pods.
together+=(eviction_by_storage log_rotation)
last+=(restart_kubelet restart_crispd drain_100_pods)

# A container that writes more than its limit of ephemeral storage is evicted; so is one that fills
# its emptyDir.
eviction_by_storage() {
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: layer}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "dd if=/dev/zero of=/file bs=1M count=20 && exec sleep 3600"]
      resources: {limits: {ephemeral-storage: 8Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: volume}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  volumes:
    - name: data
      emptyDir: {sizeLimit: 8Mi}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "dd if=/dev/zero of=/data/file bs=1M count=20 && exec sleep 3600"]
      volumeMounts:
        - {name: data, mountPath: /data}
YAML
  local evicted='.status.phase == "Failed" and .status.reason == "Evicted"'
  wait_pod layer 110 "$evicted and (.status.message | contains(\"ephemeral\"))"
  wait_pod volume 110 "$evicted and (.status.message | contains(\"data\"))"
}

# rotated: the log's files, oldest first.
rotated() { find "$lab/node-1/logs/${ns}_main_$1/main" -name '0.log.*' | sort; }
rotated_often() { (($(rotated "$1" | wc -l) >= 3)); }
# all_lines UID: whether the files together have each line once, in order, to the last.
all_lines() {
  local old
  mapfile -t old < <(rotated "$1")
  zcat --force "${old[@]}" "$lab/node-1/logs/${ns}_main_$1/main/0.log" 2>/dev/null |
    awk '$4 == "line" && $5 != ++lines { bad = 1 } $4 == "end" { end = 1 }
      END { exit bad || !end || lines < 5000 }'
}

# kubelet rotates the log of a container that goes on writing, and no line is lost or doubled.
log_rotation() {
  local uid
  busybox main -- sh -c 'i=0
    while [ ! -e /tmp/stop ]; do
      i=$((i + 1))
      echo "line $i of a log that is rotated while it is written"
      [ $((i % 200)) -ne 0 ] || sleep 0.1
    done
    echo end
    exec sleep 3600'
  wait_pod main 60 ready
  uid="$(pod_uid main)"
  wait_for 90 rotated_often "$uid"
  kubectl exec main -- touch /tmp/stop
  wait_for 20 all_lines "$uid"
}

# Containers with their restarts, and the processes that they are.
identities() {
  kubectl get pods --output=json | jq --compact-output '
    [.items[] | [.metadata.name, (.status.containerStatuses[] | .containerID, .restartCount)]]'
}
processes() {
  local id
  for id in $(crictl_on 1 ps --quiet --label "io.kubernetes.pod.namespace=$ns" | sort); do
    crictl_on 1 inspect "$id" | jq .info.pid
  done
}

# node_ready SINCE: kubelet has said so after SINCE (seconds).
node_ready() {
  watched 60 "any(.status.conditions[]?; .type == \"Ready\" and .status == \"True\" and
    (.lastHeartbeatTime | fromdate) >= $1)" nodes --field-selector=metadata.name=node-1 >/dev/null
}

# three_pods: with probes, so that there is something to do for kubelet.
three_pods() {
  local i
  for i in 1 2 3; do
    sed "s/@N@/$i/" "$here/pods/probed-pod.yaml" | apply
  done
  kubectl wait --for=condition=Ready pod --all --timeout=60s
}

restart_kubelet() {
  local before running begin
  three_pods
  before="$(identities)"
  running="$(processes)"
  end kubelet-1 KILL
  begin=$EPOCHREALTIME
  start_kubelet 1
  node_ready "${begin%.*}"
  figure "node Ready $(elapsed "$begin") s after kubelet's restart"
  busybox new -- sleep 3600
  wait_pod new 60 ready
  kubectl delete pod new --grace-period=1
  same "pods and restarts" "$(identities)" "$before"
  same "processes" "$(processes)" "$running"
}

execs() { [[ "$(kubectl exec probed-1 -- echo here)" == here ]]; }

# crispd killed, and then stopped, below running pods.
restart_crispd() {
  local before running begin signal
  three_pods
  before="$(identities)"
  running="$(processes)"
  for signal in KILL TERM; do
    kill_crispd 1 "$signal"
    begin=$EPOCHREALTIME
    start_crispd 1
    figure "crispd answers $(elapsed "$begin") s after its start"
    wait_for 20 execs # kubelet connects again after a while
    same "processes" "$(processes)" "$running"
  done
  busybox new -- sleep 3600
  wait_pod new 60 ready
  kubectl delete pod new --grace-period=1
  same "pods and restarts" "$(identities)" "$before"
}

# no_leases: no pod of node 1 has an address any more.
no_leases() {
  local leases
  leases=("$(lease_of "")"[0-9]*)
  [[ ! -e "${leases[0]}" ]]
}
uncordon() { kubectl uncordon node-1; }

drain_100_pods() {
  local i begin
  cleanup=uncordon
  for i in $(seq 100); do sed "s/@N@/$i/" "$here/pods/idle-pod.yaml"; done >"$dir/pods.yaml"
  begin=$EPOCHREALTIME
  kubectl create --filename="$dir/pods.yaml"
  kubectl wait --for=condition=Ready pod --all --timeout=180s
  figure "100 pods Ready: $(elapsed "$begin") s"
  begin=$EPOCHREALTIME
  kubectl drain node-1 --force --ignore-daemonsets --delete-emptydir-data --timeout=180s
  figure "100 pods drained: $(elapsed "$begin") s"
  same "pods that are left" "$(kubectl get pods --no-headers 2>/dev/null | wc -l)" 0
  wait_for 30 no_leases
}
