# shellcheck shell=bash
last+=(chaos)

# 50 pods with exec probes, and crispd killed every 10 s for CRISP_CHAOS_SECONDS: no container
# restarts, no pod is lost, and the node is Ready all the time.
chaos() {
  local seconds="${CRISP_CHAOS_SECONDS:-60}" i before running ready watcher kills=0 until
  for i in $(seq 50); do sed "s/@N@/$i/" "$here/pods/probed-pod.yaml"; done >"$dir/pods.yaml"
  kubectl create --filename="$dir/pods.yaml"
  kubectl wait --for=condition=Ready pod --all --timeout=120s
  before="$(identities)"
  running="$(processes)"
  kubectl get node node-1 --watch \
    --output=jsonpath='{.status.conditions[?(@.type=="Ready")].status}{"\n"}' >"$dir/ready" &
  watcher=$!
  until=$((SECONDS + seconds))
  while ((SECONDS < until)); do
    sleep 10 # the load is one kill in 10 s
    kill_crispd 1 KILL
    start_crispd 1
    kills=$((kills + 1))
  done
  busybox new -- sleep 3600 # kubelet goes on with its work
  wait_pod new 60 ready
  kubectl delete pod new --grace-period=1
  kill "$watcher" # fails if it has ended before: then it did not see everything
  ready="$(sort --unique "$dir/ready")"
  same "the node's condition Ready" "$ready" True
  kubectl wait --for=condition=Ready pod --all --timeout=60s
  same "pods and restarts" "$(identities)" "$before"
  same "processes" "$(processes)" "$running"
  figure "$kills kills of crispd, 50 pods: 0 restarts, 0 lost"
}
