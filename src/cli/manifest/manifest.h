// What a manifest says, as typed values with the names of the Kubernetes API (v1). Only what crisp
// play does is here; DecodeManifest refuses everything else. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/manifest/fields.h"
#include "cli/manifest/quantity.h"

namespace crisp::cli {

struct ObjectMeta {
  std::string name;
  std::string namespace_ = "default";
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};

// A key of a ConfigMap or Secret.
struct KeyRef {
  std::string name;
  std::string key;
  bool optional = false;
  Place place;
};

struct ResourceFieldRef {
  std::string container_name;  // needed in volumes; in env empty: the container itself
  std::string resource;        // limits.cpu, requests.memory, ...
  Quantity divisor = Quantity::Of(1);
};

struct EnvVar {
  std::string name;
  std::string value;
  // At most one; then `value` is empty.
  std::optional<std::string> field_ref;
  std::optional<ResourceFieldRef> resource_field_ref;
  std::optional<KeyRef> config_map_key_ref;
  std::optional<KeyRef> secret_key_ref;
};

struct EnvFrom {
  std::string prefix;
  bool is_secret = false;
  KeyRef ref;  // without a key
};

enum class Protocol { kTcp, kUdp, kSctp };

struct ContainerPort {
  std::string name;
  int64_t container_port = 0;
  int64_t host_port = 0;
  std::string host_ip;
  Protocol protocol = Protocol::kTcp;
};

enum class Propagation { kNone, kHostToContainer, kBidirectional };
enum class RecursiveReadOnly { kDisabled, kIfPossible, kEnabled };

struct VolumeMount {
  std::string name;
  std::string mount_path;
  std::string sub_path;
  std::string sub_path_expr;  // excludes sub_path
  bool read_only = false;
  RecursiveReadOnly recursive_read_only = RecursiveReadOnly::kDisabled;
  Propagation propagation = Propagation::kNone;
  Place place;
};

struct Resources {
  std::map<std::string, Quantity> limits;
  std::map<std::string, Quantity> requests;
};

enum class ProfileType { kRuntimeDefault, kUnconfined, kLocalhost };

// seccompProfile, appArmorProfile
struct Profile {
  ProfileType type = ProfileType::kRuntimeDefault;
  std::string localhost_profile;
};

struct SELinuxOptions {
  std::string user, role, type, level;
};

struct SecurityContext {
  std::optional<int64_t> run_as_user;
  std::optional<int64_t> run_as_group;
  std::optional<bool> run_as_non_root;
  std::optional<SELinuxOptions> se_linux_options;
  std::optional<Profile> seccomp_profile;
  std::optional<Profile> app_armor_profile;
  // Of containers only:
  bool privileged = false;
  bool read_only_root_filesystem = false;
  std::optional<bool> allow_privilege_escalation;
  bool unmasked_proc_mount = false;
  std::vector<std::string> capabilities_add;
  std::vector<std::string> capabilities_drop;
};

struct HttpGet {
  std::string host;  // empty: the pod's address
  std::string path;
  std::string port;  // a number, or the name of a port of the container
  bool is_https = false;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct TcpSocket {
  std::string host;  // empty: the pod's address
  std::string port;
};

struct GrpcHealth {
  int64_t port = 0;
  std::string service;
};

// Exactly one of them.
struct Handler {
  std::optional<std::vector<std::string>> exec;
  std::optional<HttpGet> http_get;
  std::optional<TcpSocket> tcp_socket;  // of probes only
  std::optional<GrpcHealth> grpc;       // of probes only
  std::optional<int64_t> sleep;         // seconds; of hooks only
};

// Times in seconds.
struct Probe {
  Handler handler;
  int64_t initial_delay = 0;
  int64_t period = 10;
  int64_t timeout = 1;
  int64_t success_threshold = 1;
  int64_t failure_threshold = 3;
  std::optional<int64_t> grace_period;  // of what it ends; unset: the pod's
};

enum class PullPolicy { kUnset, kAlways, kIfNotPresent, kNever };

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::string working_dir;
  std::vector<ContainerPort> ports;
  std::vector<EnvVar> env;
  std::vector<EnvFrom> env_from;
  Resources resources;
  std::vector<VolumeMount> volume_mounts;
  std::string termination_message_path = "/dev/termination-log";
  std::string termination_message_policy = "File";
  PullPolicy pull_policy = PullPolicy::kUnset;
  SecurityContext security;
  std::optional<Probe> startup_probe;
  std::optional<Probe> liveness_probe;
  std::optional<Probe> readiness_probe;
  std::optional<Handler> post_start;
  std::optional<Handler> pre_stop;
  bool is_sidecar = false;  // an init container with restartPolicy Always
  bool is_stdin = false;
  bool is_stdin_once = false;
  bool is_tty = false;
};

struct KeyToPath {
  std::string key;
  std::string path;
  std::optional<int64_t> mode;
};

// configMap, secret
struct ObjectFiles {
  KeyRef ref;                    // without a key
  std::vector<KeyToPath> items;  // empty: every key under its own name
};

struct DownwardFile {
  std::string path;
  std::optional<std::string> field_ref;
  std::optional<ResourceFieldRef> resource_field_ref;
  std::optional<int64_t> mode;
};

struct FilesSource {
  std::optional<ObjectFiles> config_map;
  std::optional<ObjectFiles> secret;
  std::optional<std::vector<DownwardFile>> downward_api;
};

struct EmptyDir {
  bool in_memory = false;
  std::optional<Quantity> size_limit;
};

enum class HostPathType {
  kUnset,
  kDirectoryOrCreate,
  kDirectory,
  kFileOrCreate,
  kFile,
  kSocket,
  kCharDevice,
  kBlockDevice
};

struct HostPath {
  std::string path;
  HostPathType type = HostPathType::kUnset;
};

struct ImageVolume {
  std::string reference;
  PullPolicy pull_policy = PullPolicy::kUnset;
};

// Exactly one of host_path, image, empty_dir and files (configMap, secret, downwardAPI, projected).
struct Volume {
  std::string name;
  std::optional<HostPath> host_path;
  std::optional<EmptyDir> empty_dir;
  std::optional<ImageVolume> image;
  std::vector<FilesSource> files;
  bool is_files = false;  // also with a projected volume of no source
  int64_t default_mode = 0644;
  Place place;
};

struct HostAlias {
  std::string ip;
  std::vector<std::string> hostnames;
};

enum class DnsPolicy { kClusterFirst, kClusterFirstWithHostNet, kDefault, kNone };

struct DnsOption {
  std::string name;
  std::optional<std::string> value;
};

struct DnsConfig {
  std::vector<std::string> nameservers;
  std::vector<std::string> searches;
  std::vector<DnsOption> options;
};

struct PodSecurity {
  SecurityContext defaults;  // what containers take that do not say it themselves
  std::vector<int64_t> supplemental_groups;
  bool strict_supplemental_groups = false;
  std::optional<int64_t> fs_group;
  std::map<std::string, std::string> sysctls;
};

enum class RestartPolicy { kAlways, kOnFailure, kNever };

struct PodSpec {
  std::vector<Container> init_containers;
  std::vector<Container> containers;
  std::vector<Volume> volumes;
  RestartPolicy restart_policy = RestartPolicy::kAlways;
  int64_t termination_grace_period = 30;  // seconds
  DnsPolicy dns_policy = DnsPolicy::kClusterFirst;
  DnsConfig dns_config;
  std::vector<HostAlias> host_aliases;
  std::string hostname;
  bool host_users = true;  // false: a user namespace of the pod's own
  bool host_network = false;
  bool host_pid = false;
  bool host_ipc = false;
  bool share_process_namespace = false;
  PodSecurity security;
  std::vector<KeyRef> image_pull_secrets;  // without a key
};

struct Pod {
  ObjectMeta metadata;
  PodSpec spec;
  Place place;
};

// A ConfigMap or a Secret; values of a Secret are decoded.
struct DataObject {
  ObjectMeta metadata;
  std::string type;  // of a Secret
  std::map<std::string, std::string> data;
  std::map<std::string, std::string> binary_data;  // of a ConfigMap: for volumes only
};

// Key: namespace and name.
using DataObjects = std::map<std::pair<std::string, std::string>, DataObject>;

struct Manifest {
  std::vector<Pod> pods;
  DataObjects config_maps;
  DataObjects secrets;
};

// Adds what `text` (a file of YAML documents) declares to `manifest`: v1 Pod, ConfigMap, Secret;
// apps/v1 Deployment and DaemonSet and batch/v1 Job as one pod of their template.
void DecodeManifest(const std::string& file, const std::string& text, Manifest& manifest,
                    Problems& problems);

// What only shows once all files are read: two pods of one name; ConfigMaps, Secrets and keys that
// are not there although they are not optional.
void CheckReferences(const Manifest& manifest, Problems& problems);

}  // namespace crisp::cli
