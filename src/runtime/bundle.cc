#include "runtime/bundle.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "oci/runtime_spec_codec.h"
#include "spec/seccomp.h"

namespace crisp::runtime {

absl::Status WriteBundle(const std::string& bundle, const oci::Spec& spec) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(bundle, 0700));
  if (spec.linux_.seccomp.has_value()) {
    CRISP_ASSIGN_OR_RETURN(
        const std::string filter,
        spec::CompileSeccomp(*spec.linux_.seccomp, spec.linux_.artifact_seccomp));
    CRISP_RETURN_IF_ERROR(
        base::WriteFileAtomic(base::JoinPath(bundle, base::kSeccompFile), filter, 0600));
    base::Failpoint("bundle: seccomp filter written");
  }
  const std::string text = oci::EncodeRuntimeSpec(spec);
  CRISP_RETURN_IF_ERROR(base::Prefix(base::CheckFileSize(text), "runtime spec"));
  return base::Prefix(base::WriteFileAtomic(base::JoinPath(bundle, base::kSpecFile), text, 0600),
                      "write bundle");
}

absl::Status WriteExecSpec(const std::string& bundle, const oci::Spec& spec) {
  base::Failpoint("bundle: spec written");
  return base::Prefix(base::WriteFileAtomic(base::JoinPath(bundle, base::kExecSpecFile),
                                            oci::EncodeExecSpec(spec), 0600),
                      "write bundle");
}

absl::StatusOr<oci::Spec> ReadSpec(const std::string& bundle) {
  const absl::StatusOr<std::string> text = base::ReadFile(base::JoinPath(bundle, base::kSpecFile));
  if (absl::IsResourceExhausted(text.status())) return text.status();
  if (!text.ok()) return absl::InternalError(text.status().message());
  absl::StatusOr<oci::Spec> spec = oci::DecodeRuntimeSpecWithoutSeccomp(*text);
  if (!spec.ok()) return absl::InternalError(spec.status().message());
  return spec;
}

absl::StatusOr<std::string> BundleCgroup(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(oci::Spec spec, ReadSpec(bundle));
  return std::move(spec.linux_.cgroups_path);
}

shim::v1::Start StartMessage(const cgroup::Cgroups& cgroups, absl::string_view cgroup_path) {
  const cgroup::Directories directories = cgroups.layout().At(cgroup_path);
  shim::v1::Start start;
  start.set_cgroup_v2(directories.v2);
  for (const std::string& directory : directories.v1) start.add_cgroup_v1(directory);
  return start;
}

container::Init InitOf(const shim::v1::Started& started) {
  container::Init init{.process = {.pid = started.pid(), .start_ticks = started.start_ticks()},
                       .started_at_ns = started.started_at_ns(),
                       .phases = {}};
  for (const shim::v1::Phase& phase : started.phases())
    init.phases.emplace_back(phase.name(), phase.duration_ns());
  return init;
}

std::string OperationKey(const google::protobuf::Message& request) {
  std::string key;
  google::protobuf::io::StringOutputStream stream(&key);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  request.SerializeToCodedStream(&coded);
  coded.Trim();
  return key;
}

}  // namespace crisp::runtime
