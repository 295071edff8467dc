# shellcheck shell=bash
# The pods of the textbooks (pods/*.yaml). Each runs twice: api_NAME by the API on node 1, static_NAME
# by a kubelet without API on node 2.
textbook=(two_containers init_demo javaweb log_collector ambassador adapter host_aliases lifecycle
  shared_pids native_sidecar mesh keeps_address)
together+=("${textbook[@]/#/static_}" "${textbook[@]/#/api_}")

page_is() { [[ "$(fetch "$node" "http://$1/" 2>/dev/null)" == "$2" ]]; }

# nginx serves what the other container wrote; that one has ended, the pod has not.
textbook_two_containers() {
  start_pod two-containers
  wait_pod two-containers 60 'ended("debian-container"; 0) and running("nginx-container")'
  wait_for 10 page_is "$(pod_ip two-containers)" "Hello from the debian container"
  same phase "$(pod_json two-containers | jq -r .status.phase)" Running
  delete_pod two-containers
}

# The init container has ended before nginx starts, which serves what it left.
textbook_init_demo() {
  start_pod init-demo
  wait_pod init-demo 60 ready
  wait_for 10 page_is "$(pod_ip init-demo)" "Made by the init container"
  pod_json init-demo | jq --exit-status '
    .status.initContainerStatuses[0].state.terminated
    | .exitCode == 0 and .finishedAt != null'
  delete_pod init-demo
}

# A WAR from an init container runs in Tomcat; the node's port 8001 leads to it.
textbook_javaweb() {
  start_pod javaweb
  wait_pod javaweb 120 ready
  local page
  page="$(fetch "$node" http://127.0.0.1:8001/sample/hello.jsp)"
  has page "$page" "Hello from sample on Apache Tomcat/10"
  has page "$page" "a servlet"
  same "page by the node's address" \
    "$(fetch "$node" "http://$(address_of "$node"):8001/sample/hello.jsp")" "$page"
  delete_pod javaweb
  ! fetch "$node" http://127.0.0.1:8001/sample/hello.jsp || fail "port 8001 still answers"
}

stored() { [[ "$(pod_exec log-store redis redis-cli LLEN app.log)" == 100 ]]; }

# Each line of the application's log is in the store, in order.
textbook_log_collector() {
  start_pod log-store
  wait_pod log-store 60 ready
  start_pod log-collector
  wait_pod log-collector 60 ready
  wait_for 60 stored
  same "lines in the store" "$(pod_exec log-store redis redis-cli LRANGE app.log 0 -1)" \
    "$(seq -f 'event %.0f' 100)"
  delete_pod log-collector
  delete_pod log-store
}

counted() { pod_log ambassador main | grep --count '^count' || true; }
counts_to() { (($(counted) >= $1)); }
linked() { [[ "$(pod_exec redis-b redis redis-cli INFO replication)" == *link_status:up* ]]; }

# The remote server moves to another address; the main container, whose count must have no gap, only
# ever talked to localhost.
textbook_ambassador() {
  local first second before
  start_pod redis-a
  start_pod redis-b
  wait_pod redis-a 60 ready
  wait_pod redis-b 60 ready
  first="$(pod_ip redis-a)"
  second="$(pod_ip redis-b)"
  pod_exec redis-b redis redis-cli REPLICAOF "$first" 6379
  wait_for 30 linked
  printf '%s\n' "$first" "$second" >"$dir/list"
  start_pod ambassador
  wait_pod ambassador 60 'running("main")'
  wait_for 30 counts_to 20
  delete_pod redis-a
  pod_exec redis-b redis redis-cli REPLICAOF NO ONE
  before="$(counted)"
  wait_for 30 counts_to $((before + 20))
  pod_is ambassador 'running("main")' || fail "$(pod_log ambassador main | tail -n 3)"
  ! log_has ambassador main noticed || fail "the main container noticed"
  delete_pod ambassador
  delete_pod redis-b
}

adapted() { [[ "$(pod_log adapter adapter | wc -l)" == 50 ]]; }

# The adapter's log is the main container's, as JSON.
textbook_adapter() {
  start_pod adapter
  wait_pod adapter 60 ready
  wait_for 30 adapted
  pod_log adapter adapter | jq --slurp --exit-status '
    map(.number) == [range(1; 51)] and all(.level == "WARN" and .text == "disk is nearly full")'
  delete_pod adapter
}

# kubelet's /etc/hosts is the container's.
textbook_host_aliases() {
  start_pod host-aliases
  wait_pod host-aliases 60 '.status.phase == "Succeeded"'
  local hosts
  hosts="$(pod_log host-aliases cat-hosts | tr -s '\t ' ' ')"
  has /etc/hosts "$hosts" "127.0.0.1 foo.local bar.local"
  has /etc/hosts "$hosts" "10.1.2.3 foo.remote bar.remote"
  has /etc/hosts "$hosts" localhost
}

# postStart runs at the start; preStop is over before the container gets TERM.
textbook_lifecycle() {
  start_pod lifecycle
  wait_pod lifecycle 60 ready
  same "lines at the start" "$(cat "$dir/log")" postStart
  delete_pod lifecycle
  same "lines at the end" "$(tr '\n' ' ' <"$dir/log")" "postStart preStop end term "
}

# Containers see each other's processes; PID 1 is pause, and reaps what loses its parent.
textbook_shared_pids() {
  start_pod shared-pids
  wait_pod shared-pids 60 ready
  wait_for 20 log_has shared-pids parent reaped
  has "parent of the orphan" "$(pod_log shared-pids parent | tr -s '\t ' ' ')" "PPid: 1"
  local processes
  processes="$(pod_exec shared-pids parent ps -o pid,args)"
  has "processes of the pod" "$processes" "sleep 3601"
  has "processes of the pod" "$(tr -s ' ' <<<"$processes")" $'\n 1 /'
  delete_pod shared-pids
}

# A sidecar starts before the main container and is ended after it; the pod then has succeeded.
textbook_native_sidecar() {
  start_pod native-sidecar
  wait_pod native-sidecar 60 '.status.phase == "Succeeded"'
  same order "$(tr '\n' ',' <"$dir/log")" "sidecar is up,main,sidecar ends,"
}

# What the main container sends passes the sidecar, which knows where it was going to.
textbook_mesh() {
  local target
  start_pod mesh-target
  wait_pod mesh-target 60 ready
  target="$(pod_ip mesh-target)"
  echo "$target" >"$dir/address"
  start_pod mesh
  wait_pod mesh 60 ready
  wait_for 20 log_has mesh main "Welcome to nginx!"
  has "log of the proxy" "$(pod_log mesh proxy)" "on its way to $target:80"
  delete_pod mesh
  delete_pod mesh-target
}

# stop_container CONTAINER RESTARTS: its end is followed by one restart.
stop_container() {
  crictl_on "$node" stop --timeout 0 "$(container_id keeps-address "$1")"
  wait_pod keeps-address 30 "ready and any(container(\"$1\"); .restartCount == 1)"
}

# A pod outlives each of its containers with its address, which it gives back when it goes.
textbook_keeps_address() {
  local ip uid sandbox
  start_pod keeps-address
  wait_pod keeps-address 60 ready
  ip="$(pod_ip keeps-address)"
  uid="$(pod_uid keeps-address)"
  sandbox="$(sandboxes "$uid")"
  [[ -n "$sandbox" ]] || fail "no sandbox of pod $uid"
  stop_container first
  stop_container second
  same "address" "$(pod_ip keeps-address)" "$ip"
  same "sandbox" "$(sandboxes "$uid")" "$sandbox"
  has "lease" "$(cat "$(lease_of "$ip")")" "$sandbox"
  delete_pod keeps-address # waits for the lease, too
}
