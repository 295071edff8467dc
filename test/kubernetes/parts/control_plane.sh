# shellcheck shell=bash
# etcd, the API server, controller manager and scheduler, and the registry, on node 1. There is
# no kube-proxy: addresses of Services do not work.
api="https://$(address_of 1):6443"

# kubeconfig TOKEN NAMESPACE: prints one. The certificate of the API server is its own.
kubeconfig() {
  jq -n --arg server "$api" --arg token "$1" --arg namespace "$2" '{
    apiVersion: "v1", kind: "Config", "current-context": "lab",
    clusters: [{name: "lab", cluster: {server: $server, "insecure-skip-tls-verify": true}}],
    users: [{name: "lab", user: {token: $token}}],
    contexts: [{name: "lab", context: {cluster: "lab", user: "lab", namespace: $namespace}}]}'
}

write_identities() {
  local node
  # The tokens are known to everybody: the server listens in a network of its own.
  echo admin,admin,admin,system:masters >"$lab/tokens.csv"
  openssl genrsa -out "$lab/service-accounts.key" 2048 2>/dev/null
  kubeconfig admin default >"$lab/admin.conf"
  for node in node-1 node-2; do
    echo "$node,system:node:$node,$node,system:nodes" >>"$lab/tokens.csv"
    kubeconfig "$node" default >"$lab/$node.conf"
  done
}

# on_control_plane NAME COMMAND...: launches a program of build/tools on node 1.
on_control_plane() {
  local name="$1"
  shift
  launch "$name" nsenter --target "$(running node-1)" --mount --net -- "$@"
}

serves_etcd() { [[ "$(fetch 1 http://127.0.0.1:2379/health 2>/dev/null)" == *true* ]]; }
# answers COMMAND...: silently, because it is asked until it does.
answers() { "$@" >/dev/null 2>&1; }

start_control_plane() {
  on_control_plane etcd /usr/bin/etcd --data-dir="$lab/etcd" --unsafe-no-fsync \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380
  wait_for 30 serves_etcd
  on_control_plane kube-apiserver "$root/build/tools/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 --cert-dir="$lab/pki" --secure-port=6443 \
    --bind-address="$(address_of 1)" --advertise-address="$(address_of 1)" \
    --token-auth-file="$lab/tokens.csv" --authorization-mode=Node,RBAC --allow-privileged=true \
    --service-cluster-ip-range=10.250.200.0/24 --endpoint-reconciler-type=none \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$lab/service-accounts.key" \
    --service-account-signing-key-file="$lab/service-accounts.key" \
    --kubelet-preferred-address-types=InternalIP --v=1
  wait_for 60 answers in_node 1 "$root/build/tools/kubectl" get --raw /readyz
  on_control_plane kube-controller-manager "$root/build/tools/kube-controller-manager" \
    --kubeconfig="$lab/admin.conf" --leader-elect=false --cert-dir="$lab/pki" \
    --service-account-private-key-file="$lab/service-accounts.key" \
    --flex-volume-plugin-dir="$lab/plugins" --node-monitor-period=2s \
    --node-monitor-grace-period=20s --kube-api-qps=200 --kube-api-burst=400 --v=1
  on_control_plane kube-scheduler "$root/build/tools/kube-scheduler" \
    --kubeconfig="$lab/admin.conf" --leader-elect=false --cert-dir="$lab/pki" \
    --kube-api-qps=200 --kube-api-burst=400 --v=1
}

stop_control_plane() {
  local program status=0
  for program in kube-scheduler kube-controller-manager kube-apiserver etcd registry; do
    end "$program" || status=1
  done
  return "$status"
}

# The registry that test/run has filled, once more, where both nodes reach it.
start_registry() {
  jq -n --arg storage "$root/build/test-registry/storage" --arg address "$registry_address" '{
    version: "0.1", log: {level: "info", accesslog: {disabled: true}},
    storage: {filesystem: {rootdirectory: $storage}, maintenance: {readonly: {enabled: true}}},
    http: {addr: $address}}' >"$lab/registry.json"
  "$root/test/images/registry" certs "$lab" "$registry_address"
  on_control_plane registry env OTEL_TRACES_EXPORTER=none docker-registry serve \
    "$lab/registry.json"
  wait_for 20 answers fetch 1 "http://$registry_address/v2/"
}

images=(busybox nginx debian crisp/redis:7 crisp/python:3-slim crisp/probed:1 crisp/nftables:1
  crisp/sample-war:1 crisp/tomcat:10 registry.k8s.io/pause:3.9)

# pull_images N
pull_images() {
  local image
  for image in "${images[@]}"; do crictl_on "$1" pull "$image" >/dev/null || return; done
}
