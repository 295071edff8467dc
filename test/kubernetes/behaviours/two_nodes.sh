# shellcheck shell=bash
# Two nodes, another version of kubelet on the second one, and that one alone.
last+=(two_nodes_talk node_lost kubelet_1_36 image_gc)

# second_node WHAT: node 2 in the cluster.
second_node() {
  second_kubelet "$1"
  watched 60 "ready and (.status.nodeInfo.kubeletVersion | startswith(\"$2\"))" nodes \
    --field-selector=metadata.name=node-2 >/dev/null
}

# on_node NODE NAME: a pod with nginx there.
on_node() {
  kubectl run "$2" --image=nginx --image-pull-policy=IfNotPresent \
    --overrides="{\"spec\": {\"nodeName\": \"node-$1\"}}"
  wait_pod "$2" 60 ready
}
# talks FROM TO. Not wget -T: Debian's busybox ends by SIGSEGV then.
talks() {
  has "page of $2 for $1" \
    "$(kubectl exec "$1" -- timeout 5 wget -q -O - "http://$(pod_ip "$2")/")" "Welcome to nginx!"
}

two_nodes_talk() {
  second_node cluster v1.37
  on_node 1 left
  on_node 2 right
  talks left right
  talks right left
  has "log of right" "$(kubectl logs right)" "GET / HTTP"
}

heal() {
  in_node 2 ip link set eth0 up
  route_pods 2
}

# The cable is cut: the node is Unknown, its pods are not Ready, those of the other run on. Healed,
# everything is as it was, and nothing was restarted.
node_lost() {
  local before
  second_node cluster v1.37
  on_node 1 left
  on_node 2 right
  before="$(identities)"
  cleanup=heal
  in_node 2 ip link set eth0 down
  kubectl wait --for=condition=Ready=Unknown node/node-2 --timeout=90s
  kubectl wait --for=condition=Ready=false pod/right --timeout=60s
  same "what left prints" "$(kubectl exec left -- echo here)" here
  heal
  kubectl wait --for=condition=Ready node/node-2 --timeout=90s
  kubectl wait --for=condition=Ready pod/right --timeout=60s
  same "pods and restarts" "$(identities)" "$before"
  talks left right
  talks right left
}

# A kubelet one version behind the control plane.
kubelet_1_36() {
  second_node 1.36 v1.36.3
  on_node 2 main
  same "what an exec prints" "$(kubectl exec main -- echo here)" here
  has "its page" "$(fetch 2 "http://$(pod_ip main)/")" "Welcome to nginx!"
  has "its log" "$(kubectl logs main)" "GET / HTTP"
  kubectl delete pod main --timeout=60s
}

# Images of node 2, by name.
has_image() { [[ "$(crictl_on 2 images | awk '{ print $1 }')" == *"$1"* ]]; }
gone_image() { ! has_image "$1"; }
sandbox_ready() { [[ -n "$(crictl_on 2 pods --quiet --state ready --name keeps-address)" ]]; }
forget() {
  rm -f "$lab/node-2/manifests/keeps-address.yaml"
  second_kubelet alone
}

# A kubelet that takes its disk for full removes the images that nothing uses, and no other.
image_gc() {
  cleanup=forget
  has_image library/busybox || crictl_on 2 pull busybox
  has_image library/nginx || crictl_on 2 pull nginx
  second_kubelet alone
  manifest keeps-address >"$lab/node-2/manifests/keeps-address.yaml"
  wait_for 60 sandbox_ready
  second_kubelet alone evictionHard '{"nodefs.available": "99.9%", "imagefs.available": "99.9%"}' \
    imageMinimumGCAge '"1s"'
  wait_for 100 gone_image library/nginx
  has_image library/busybox || fail "the image of a running container is gone"
  sandbox_ready || fail "the pod is gone"
}
