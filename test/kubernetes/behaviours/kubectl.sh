# shellcheck shell=bash
# What people do with kubectl: API server, kubelet and crispd's streaming server in a row.
together+=(kubectl_exec kubectl_attach kubectl_logs kubectl_cp kubectl_port_forward metrics)

# exec: output, stdin, a terminal, exit codes.
kubectl_exec() {
  local status=0
  busybox main -- sleep 3600
  wait_pod main 60 ready
  same stdout "$(kubectl exec main -- sh -c 'echo out; echo err >&2' 2>/dev/null)" out
  same stderr "$(kubectl exec main -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err
  same stdin "$(seq 100000 | kubectl exec --stdin main -- sha256sum)" "$(seq 100000 | sha256sum)"
  kubectl exec main -- sh -c 'exit 7' || status=$?
  same "exit status" "$status" 7
  status=0
  # A terminal here for a terminal there.
  has terminal "$(script --quiet --return --command \
    'kubectl exec --stdin --tty main -- sh -c "test -t 0 && test -t 1 && echo a terminal; exit 5"' \
    /dev/null </dev/null || echo "status $?")" "a terminal"
  script --quiet --return --command 'kubectl exec --stdin --tty main -- sh -c "exit 5"' \
    /dev/null </dev/null || status=$?
  same "exit status with a terminal" "$status" 5
}

# attach: to a container that reads, and to one that writes.
kubectl_attach() {
  local output lines watcher line=""
  output="$(echo hello | kubectl run reader --image=busybox --image-pull-policy=IfNotPresent \
    --stdin --rm --quiet --restart=Never --command -- sh -c 'read -r line; echo "got $line"')"
  has "what the reader got" "$output" "got hello"
  busybox writer -- sh -c 'while :; do echo tick; sleep 0.2; done'
  wait_pod writer 60 ready
  exec {lines}< <(exec timeout 30 kubectl attach writer)
  watcher=$!
  until [[ "$line" == tick* ]]; do
    read -r -t 20 line <&"$lines" || fail "attached, and saw no tick"
  done
  kill "$watcher"
}

# logs: all of it, followed to the container's end, and that of the one before a restart.
kubectl_logs() {
  busybox main -- sh -c 'for i in $(seq 20); do echo "line $i"; sleep 0.1; done'
  wait_pod main 60 'running("main") or ended("main"; 0)'
  same "the followed log" "$(timeout 30 kubectl logs --follow main)" "$(seq -f 'line %.0f' 20)"
  same "its last line" "$(kubectl logs main --tail=1)" "line 20"
  # It runs on after the restart: kubelet keeps the log of one run that has ended.
  busybox again --restart=OnFailure -- \
    sh -c 'echo "run $(date +%s%N)"; trap "exit 1" TERM; sleep 3600 & wait'
  wait_pod again 60 ready
  kubectl exec again -- kill -TERM 1 || true # it may be killed with the container
  wait_pod again 60 'restarts >= 1'
  has "the log before the restart" "$(kubectl logs again --previous)" "run "
}

# cp: a file and a directory, to the container and back.
kubectl_cp() {
  busybox main -- sleep 3600
  wait_pod main 60 ready
  mkdir -p "$dir/tree/deep/er"
  head --bytes=3000000 /dev/urandom >"$dir/tree/deep/er/file"
  ln -s deep/er/file "$dir/tree/link"
  kubectl cp "$dir/tree/deep/er/file" main:/tmp/file
  kubectl cp main:/tmp/file "$dir/back"
  cmp "$dir/tree/deep/er/file" "$dir/back"
  kubectl cp "$dir/tree" main:/tmp/tree
  same "the link" "$(kubectl exec main -- readlink /tmp/tree/link)" deep/er/file
  kubectl cp main:/tmp/tree/deep "$dir/deep"
  cmp "$dir/tree/deep/er/file" "$dir/deep/er/file"
}

# port-forward: from a port here to the pod's, several connections one after another.
kubectl_port_forward() {
  local lines watcher line port i
  kubectl run main --image=nginx --image-pull-policy=IfNotPresent
  wait_pod main 60 ready
  exec {lines}< <(exec timeout 60 kubectl port-forward pod/main :80)
  watcher=$!
  read -r -t 30 line <&"$lines" || fail "port-forward says nothing"
  [[ "$line" =~ 127\.0\.0\.1:([0-9]+)\ -\>\ 80 ]] || fail "port-forward says '$line'"
  port="${BASH_REMATCH[1]}"
  for i in 1 2 3; do
    has "page $i" "$(fetch 1 "http://127.0.0.1:$port/")" "Welcome to nginx!"
  done
  kill "$watcher"
}

metrics_of_pod() {
  local text labels="container=\"main\",namespace=\"$ns\",pod=\"main\""
  text="$(kubectl get --raw /api/v1/nodes/node-1/proxy/metrics/resource)"
  [[ "$text" =~ container_memory_working_set_bytes\{"$labels"\}\ [1-9] &&
    "$text" =~ container_cpu_usage_seconds_total\{"$labels"\}\ [0-9.]*[1-9] ]]
}

# What `kubectl top` shows comes from metrics-server, which Debian does not have, and that from here.
metrics() {
  busybox main -- sh -c 'seq 1000000 >/dev/null; exec sleep 3600' # some CPU time, and no more
  wait_pod main 60 ready
  wait_for 60 metrics_of_pod
}
