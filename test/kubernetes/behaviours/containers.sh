# shellcheck shell=bash
# What Kubernetes does with containers beyond starting them.
together+=(ephemeral_container resize_in_place image_volume user_namespace)

# kubectl debug: a container that joins a running pod and sees its target's processes.
ephemeral_container() {
  busybox main -- sleep 3607
  wait_pod main 60 ready
  kubectl debug main --image=busybox --image-pull-policy=IfNotPresent --container=debugger \
    --target=main -- ps -o args
  wait_pod main 60 'any(.status.ephemeralContainerStatuses[]?; .state.terminated.exitCode == 0)'
  has "what the debugger sees" "$(kubectl logs main --container=debugger)" "sleep 3607"
  wait_pod main 10 'ready and restarts == 0'
}

# Limits change in the API and in the kernel, and the container does not restart.
resize_in_place() {
  local id quota
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      resources: {limits: {cpu: 100m, memory: 64Mi}}
YAML
  wait_pod main 60 ready
  kubectl patch pod main --subresource=resize --patch='{"spec": {"containers": [{"name": "main",
    "resources": {"requests": {"cpu": "200m", "memory": "96Mi"},
      "limits": {"cpu": "200m", "memory": "96Mi"}}}]}}'
  wait_pod main 60 'any(container("main");
    .resources.limits == {"cpu": "200m", "memory": "96Mi"} and .restartCount == 0)'
  id="$(container_id main main)"
  same "limit of memory" \
    "$(cgroup_value "$id" memory/memory.limit_in_bytes memory.max)" $((96 * 1024 * 1024))
  quota="$(cgroup_value "$id" cpu/cpu.cfs_quota_us cpu.max)"
  same "limit of CPU time" "${quota% *}" 20000
}

# An image as a volume.
image_volume() {
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  restartPolicy: Never
  volumes:
    - name: war
      image: {reference: "crisp/sample-war:1", pullPolicy: IfNotPresent}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      volumeMounts:
        - {name: war, mountPath: /volume}
      command: [sh, -c, "test -s /volume/sample.war && ! touch /volume/new"]
YAML
  wait_pod main 60 '.status.phase == "Succeeded"'
}

# hostUsers: false: root inside, somebody else outside; volumes are the pod's own all the same.
user_namespace() {
  local id outside
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  hostUsers: false
  terminationGracePeriodSeconds: 1
  volumes:
    - name: data
      emptyDir: {}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      volumeMounts:
        - {name: data, mountPath: /data}
      command: [sh, -c, "touch /data/file && exec sleep 3600"]
YAML
  wait_pod main 60 ready
  same "user inside" "$(kubectl exec main -- id -u)" 0
  same "owner of the file inside" "$(kubectl exec main -- stat -c %u /data/file)" 0
  id="$(container_id main main)"
  outside="$(crictl_on 1 inspect "$id" | jq .info.pid)"
  outside="$(awk '/^Uid:/ { print $2 }' "/proc/$outside/status")"
  ((outside >= 65536)) || fail "the container runs as user $outside of the host"
}
