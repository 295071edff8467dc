# shellcheck shell=bash
# The phases of pods, how one comes to be, and how one ends. The API has no phase Unknown any more:
# what is seen of a lost node is in two_nodes.sh.
first+=(pod_start_time creation_flow)
together+=(phase_pending phase_running phase_succeeded phase_failed image_missing crash_loop
  oom_killed)

# `kubectl apply` to Ready of a pod of two containers, images present, nothing else going on.
pod_start_time() {
  local round begin times=()
  for round in 1 2 3; do
    begin=$EPOCHREALTIME
    sed "s/@N@/$round/" "$here/pods/pair.yaml" | apply
    kubectl wait --for=condition=Ready "pod/pair-$round" --timeout=60s
    times+=("$(elapsed "$begin")")
  done
  figure "kubectl apply to Ready of a pod of two containers: ${times[*]} s"
}

# seconds BEGIN TIME: how long after BEGIN (seconds) the time of crictl was.
seconds() { date --date="$2" +%s.%N | awk -v begin="$1" '{ printf "%.3f\n", $1 - begin }'; }
in_order() { printf '%s\n' "$@" | sort --check --general-numeric-sort; }

# From kubectl to the API server, etcd, the scheduler, kubelet, crispd and back, with times.
creation_flow() {
  local begin objects watcher seen stored scheduled running id sandbox started
  exec {objects}< <(exec timeout 60 kubectl get pods --watch --output=json)
  watcher=$!
  begin=$EPOCHREALTIME
  busybox flow -- sleep 3600
  seen="$(jq --null-input --raw-output --argjson begin "$begin" '
    label $found | foreach inputs as $pod ({}; (now - $begin) as $at
      | .stored //= $at
      | if $pod.spec.nodeName then .scheduled //= $at else . end
      | if any($pod.status.containerStatuses[]?; .state.running) then .running //= $at else . end;
      if .running then "\(.stored) \(.scheduled) \(.running)", break $found else empty end)
    ' <&"$objects")"
  kill "$watcher" || true
  exec {objects}<&-
  read -r stored scheduled running <<<"$seen"
  id="$(container_id flow flow)"
  started="$(seconds "$begin" "$(crictl_on 1 inspect "$id" | jq -r .status.startedAt)")"
  sandbox="$(sandboxes "$(pod_uid flow)")"
  sandbox="$(seconds "$begin" "$(crictl_on 1 inspectp "$sandbox" | jq -r .status.createdAt)")"
  in_order 0 "$stored" "$scheduled" "$running"
  in_order 0 "$sandbox" "$started" "$running"
  figure "$(printf 'kubectl 0, stored %.3f, scheduled %.3f, sandbox %.3f, container started %.3f,' \
    "$stored" "$scheduled" "$sandbox" "$started") $(printf 'Running in the API %.3f s' "$running")"
}

# A pod that fits no node is Pending, and runs as soon as one fits.
phase_pending() {
  cleanup=remove_label
  busybox main --overrides='{"spec": {"nodeSelector": {"pending": "no-longer"}}}' -- sleep 3600
  kubectl wait --for=condition=PodScheduled=false pod/main --timeout=30s
  same phase "$(kubectl get pod main --output=jsonpath='{.status.phase}')" Pending
  kubectl label node node-1 pending=no-longer
  wait_pod main 60 '.status.phase == "Running"'
}
remove_label() { kubectl label node node-1 pending-; }

phase_running() {
  busybox main -- sleep 3600
  wait_pod main 60 '.status.phase == "Running" and ready and any(container("main"); .started)'
}

phase_succeeded() {
  busybox main -- true
  wait_pod main 60 '.status.phase == "Succeeded" and
    any(container("main"); .state.terminated.reason == "Completed")'
}

# The exit code and the message that the container left are in the API.
phase_failed() {
  busybox main -- sh -c 'echo bye >/dev/termination-log; exit 3'
  wait_pod main 60 '.status.phase == "Failed" and ended("main"; 3) and
    any(container("main"); .state.terminated | .reason == "Error" and .message == "bye\n")'
}

# An image that the registry does not have: the pod waits and says so.
image_missing() {
  kubectl run main --image=crisp/not-there:1 --restart=Never
  wait_pod main 60 '.status.phase == "Pending" and
    any(container("main"); .state.waiting.reason | . == "ErrImagePull" or . == "ImagePullBackOff")'
  has message "$(kubectl get pod main --output=json |
    jq -r '.status.containerStatuses[0].state.waiting.message')" crisp/not-there:1
}

# The first restart comes at once, the second 10 s later, and in between kubelet says why.
crash_loop() {
  local begin wait
  busybox main --restart=Always -- false
  wait_pod main 60 'restarts >= 1'
  begin=$EPOCHREALTIME
  wait_pod main 30 'any(container("main"); .state.waiting.reason == "CrashLoopBackOff")'
  wait_pod main 60 'restarts >= 2'
  wait="$(elapsed "$begin")"
  ((${wait%.*} >= 7)) || fail "restarted after $wait s"
  figure "second restart $wait s after the first"
}

oom_killed() {
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [dd, if=/dev/zero, of=/dev/null, bs=200M, count=1]
      resources: {limits: {memory: 32Mi}}
YAML
  wait_pod main 60 'ended("main"; 137) and
    any(container("main"); .state.terminated.reason == "OOMKilled")'
}
