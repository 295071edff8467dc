# shellcheck shell=bash
# Volumes that kubelet fills.
together+=(config_map secret downward_api projected fs_group sub_path)

# file POD PATH: its contents.
file() { kubectl exec "$1" -- cat "$2"; }

config_map() {
  kubectl create configmap settings --from-literal=color=green --from-literal=text='two words'
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - name: settings
      configMap: {name: settings}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      env:
        - name: COLOR
          valueFrom: {configMapKeyRef: {name: settings, key: color}}
      volumeMounts:
        - {name: settings, mountPath: /settings}
YAML
  wait_pod main 60 ready
  same "the variable" "$(kubectl exec main -- sh -c 'echo $COLOR')" green
  same "the file" "$(file main /settings/text)" "two words"
}

secret() {
  kubectl create secret generic key --from-literal=password=xyzzy
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - name: key
      secret: {secretName: key, defaultMode: 0400}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      envFrom:
        - secretRef: {name: key}
      volumeMounts:
        - {name: key, mountPath: /key, readOnly: true}
YAML
  wait_pod main 60 ready
  same "the variable" "$(kubectl exec main -- sh -c 'echo $password')" xyzzy
  same "the file" "$(file main /key/password)" xyzzy
  same "mode of the file" "$(kubectl exec main -- stat -L -c %a /key/password)" 400
  has "file system" "$(kubectl exec main -- grep ' /key ' /proc/mounts)" tmpfs
}

downward_api() {
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main, labels: {tier: front}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - name: info
      downwardAPI:
        items:
          - {path: labels, fieldRef: {fieldPath: metadata.labels}}
          - {path: memory, resourceFieldRef: {containerName: main, resource: limits.memory}}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      resources: {limits: {memory: 48Mi}}
      env:
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
      volumeMounts:
        - {name: info, mountPath: /info}
YAML
  wait_pod main 60 ready
  same "variables" "$(kubectl exec main -- sh -c 'echo $NODE $ADDRESS')" "node-1 $(pod_ip main)"
  same labels "$(file main /info/labels)" 'tier="front"'
  same memory "$(file main /info/memory)" $((48 * 1024 * 1024))
}

# Several sources in one directory; the token of the service account is one that the API server takes.
projected() {
  local token
  kubectl create configmap settings --from-literal=color=green
  kubectl create secret generic key --from-literal=password=xyzzy
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - name: all
      projected:
        sources:
          - configMap: {name: settings}
          - secret: {name: key}
          - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}
          - serviceAccountToken: {path: token, expirationSeconds: 3600}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      volumeMounts:
        - {name: all, mountPath: /all}
YAML
  wait_pod main 60 ready
  same files "$(kubectl exec main -- sh -c 'cd /all && cat color password name')" greenxyzzymain
  token="$(file main /all/token)"
  kubeconfig "$token" "$ns" >"$dir/kubeconfig"
  has "who the token is" "$(kubectl --kubeconfig="$dir/kubeconfig" auth whoami --output=json)" \
    "system:serviceaccount:$ns:default"
}

# A volume belongs to the group, and so does what is written into it.
fs_group() {
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000, supplementalGroups: [3000]}
  volumes:
    - name: data
      emptyDir: {}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "echo x >/data/file && exec sleep 3600"]
      volumeMounts:
        - {name: data, mountPath: /data}
YAML
  wait_pod main 60 ready
  same "groups" "$(kubectl exec main -- id -G | tr ' ' '\n' | sort -n | tr '\n' ' ')" \
    "1000 2000 3000 "
  same "the directory" "$(kubectl exec main -- stat -c '%g %a' /data)" "2000 2777"
  same "the file" "$(kubectl exec main -- stat -c '%u %g' /data/file)" "1000 2000"
}

# Parts of one volume, by name and by the pod's name.
sub_path() {
  apply <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - name: data
      emptyDir: {}
  initContainers:
    - name: fill
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "mkdir -p /data/a/b /data/main && echo 1 >/data/a/b/x && echo 2 >/data/main/y"]
      volumeMounts:
        - {name: data, mountPath: /data}
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      env:
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      volumeMounts:
        - {name: data, mountPath: /directory, subPath: a/b}
        - {name: data, mountPath: /file, subPath: a/b/x}
        - {name: data, mountPath: /by-name, subPathExpr: $(POD)}
YAML
  wait_pod main 60 ready
  same "the directory" "$(kubectl exec main -- ls /directory)" x
  same "the file" "$(file main /file)" 1
  same "by the name" "$(file main /by-name/y)" 2
}
