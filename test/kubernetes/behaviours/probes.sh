# shellcheck shell=bash
# Startup, readiness and liveness probes of each kind, on test/images/probed.
together+=(probes_exec probes_http probes_tcp probes_grpc)

# set_state STATE BOOL: probed's, which then answers its probes accordingly.
set_state() { fetch 1 "http://$(pod_ip main):8080/set/$1/$2"; }

# probes HANDLER: HANDLER prints the handler of a probe for a state, as JSON.
probes() {
  jq --null-input --argjson startup "$("$1" started)" --argjson readiness "$("$1" ready)" \
    --argjson liveness "$("$1" alive)" '
    {periodSeconds: 1, timeoutSeconds: 5} as $probe
    | {apiVersion: "v1", kind: "Pod", metadata: {name: "main"}, spec: {
        automountServiceAccountToken: false, terminationGracePeriodSeconds: 1,
        containers: [{name: "main", image: "crisp/probed:1",
          startupProbe: ($probe + {failureThreshold: 100} + $startup),
          readinessProbe: ($probe + {failureThreshold: 1} + $readiness),
          livenessProbe: ($probe + {failureThreshold: 2} + $liveness)}]}}' | apply
  wait_pod main 60 'running("main") and any(container("main"); .started == false)'
  wait_for 20 set_state started true
  wait_pod main 20 'any(container("main"); .started) and (ready | not)'
  set_state ready true
  wait_pod main 20 ready
  set_state ready false
  wait_pod main 20 '(ready | not) and restarts == 0'
  set_state ready true
  wait_pod main 20 ready
  set_state alive false
  wait_pod main 30 'restarts == 1 and running("main") and any(container("main"); .started == false)'
  wait_for 20 set_state started true
  set_state ready true
  wait_pod main 20 'ready and restarts == 1'
}

exec_handler() { echo "{\"exec\": {\"command\": [\"/probed\", \"check\", \"$1\"]}}"; }
probes_exec() { probes exec_handler; }

http_handler() { echo "{\"httpGet\": {\"path\": \"/$1\", \"port\": 8080}}"; }
probes_http() { probes http_handler; }

tcp_handler() {
  local -A ports=([started]=9001 [ready]=9002 [alive]=9003)
  echo "{\"tcpSocket\": {\"port\": ${ports[$1]}}}"
}
probes_tcp() { probes tcp_handler; }

grpc_handler() { echo "{\"grpc\": {\"port\": 9090, \"service\": \"$1\"}}"; }
probes_grpc() { probes grpc_handler; }
