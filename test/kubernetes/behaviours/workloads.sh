# shellcheck shell=bash
# What controllers make of pods.
together+=(job daemon_set)
last+=(deployment_1_50_1)

job() {
  apply <<'YAML'
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  completions: 4
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox
          imagePullPolicy: IfNotPresent
          command: [sh, -c, "echo done by $HOSTNAME"]
YAML
  kubectl wait --for=condition=Complete job/work --timeout=100s
  same "pods that succeeded" "$(kubectl get job work --output=jsonpath='{.status.succeeded}')" 4
  has log "$(kubectl logs job/work)" "done by work-"
}

# One pod on each node that it may run on, which is node 1.
daemon_set() {
  apply <<'YAML'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
        - name: main
          image: registry.k8s.io/pause:3.9
YAML
  kubectl rollout status daemonset/agent --timeout=60s
  same "nodes of its pods" \
    "$(kubectl get pods --selector=app=agent --output=jsonpath='{.items[*].spec.nodeName}')" node-1
}

pods_left() { (($(kubectl get pods --no-headers 2>/dev/null | wc -l) <= $1)); }

deployment_1_50_1() {
  local begin addresses
  kubectl create deployment many --image=registry.k8s.io/pause:3.9
  kubectl rollout status deployment/many --timeout=60s
  begin=$EPOCHREALTIME
  kubectl scale deployment many --replicas=50
  kubectl rollout status deployment/many --timeout=120s
  figure "Deployment from 1 to 50: $(elapsed "$begin") s"
  addresses="$(kubectl get pods --output=json | jq '[.items[].status.podIP] | unique | length')"
  same "different addresses" "$addresses" 50
  begin=$EPOCHREALTIME
  kubectl scale deployment many --replicas=1
  wait_for 120 pods_left 1
  figure "Deployment from 50 to 1: $(elapsed "$begin") s"
  kubectl rollout status deployment/many --timeout=60s
}
