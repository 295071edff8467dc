// CRI's RuntimeService and ImageService (KEP-1281's v1, proto/runtime/v1/api.proto), one function
// for each RPC, by noun and verb in <noun>_<verb>.cc: it checks the request, calls the runtime and
// makes the answer. No state, nothing of gRPC (rpc/ does that). Thread-safe. List*, *Status and
// *Stats take no operation lock and talk to no shim.
//
// Errors: kInvalidArgument names the field, its value and what was expected, before anything was
// created; kNotFound where kubelet relies on it.
#pragma once

#include "absl/status/statusor.h"
#include "base/call.h"
#include "runtime/api.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cri {

namespace v1 = ::runtime::v1;
using base::Call;
using runtime::Api;

absl::StatusOr<v1::VersionResponse> Version(const Api&, const v1::VersionRequest&, const Call&);
absl::StatusOr<v1::StatusResponse> Status(const Api&, const v1::StatusRequest&, const Call&);
absl::StatusOr<v1::RuntimeConfigResponse> RuntimeConfig(const Api&, const v1::RuntimeConfigRequest&,
                                                        const Call&);
absl::StatusOr<v1::UpdateRuntimeConfigResponse> UpdateRuntimeConfig(
    const Api&, const v1::UpdateRuntimeConfigRequest&, const Call&);

absl::StatusOr<v1::RunPodSandboxResponse> RunPodSandbox(const Api&, const v1::RunPodSandboxRequest&,
                                                        const Call&);
absl::StatusOr<v1::StopPodSandboxResponse> StopPodSandbox(const Api&,
                                                          const v1::StopPodSandboxRequest&,
                                                          const Call&);
absl::StatusOr<v1::RemovePodSandboxResponse> RemovePodSandbox(const Api&,
                                                              const v1::RemovePodSandboxRequest&,
                                                              const Call&);
absl::StatusOr<v1::PodSandboxStatusResponse> PodSandboxStatus(const Api&,
                                                              const v1::PodSandboxStatusRequest&,
                                                              const Call&);
absl::StatusOr<v1::ListPodSandboxResponse> ListPodSandbox(const Api&,
                                                          const v1::ListPodSandboxRequest&,
                                                          const Call&);
absl::StatusOr<v1::UpdatePodSandboxResourcesResponse> UpdatePodSandboxResources(
    const Api&, const v1::UpdatePodSandboxResourcesRequest&, const Call&);
absl::StatusOr<v1::PodSandboxStatsResponse> PodSandboxStats(const Api&,
                                                            const v1::PodSandboxStatsRequest&,
                                                            const Call&);
absl::StatusOr<v1::ListPodSandboxStatsResponse> ListPodSandboxStats(
    const Api&, const v1::ListPodSandboxStatsRequest&, const Call&);
absl::StatusOr<v1::ListMetricDescriptorsResponse> ListMetricDescriptors(
    const Api&, const v1::ListMetricDescriptorsRequest&, const Call&);
absl::StatusOr<v1::ListPodSandboxMetricsResponse> ListPodSandboxMetrics(
    const Api&, const v1::ListPodSandboxMetricsRequest&, const Call&);

absl::StatusOr<v1::CreateContainerResponse> CreateContainer(const Api&,
                                                            const v1::CreateContainerRequest&,
                                                            const Call&);
absl::StatusOr<v1::StartContainerResponse> StartContainer(const Api&,
                                                          const v1::StartContainerRequest&,
                                                          const Call&);
absl::StatusOr<v1::StopContainerResponse> StopContainer(const Api&, const v1::StopContainerRequest&,
                                                        const Call&);
absl::StatusOr<v1::RemoveContainerResponse> RemoveContainer(const Api&,
                                                            const v1::RemoveContainerRequest&,
                                                            const Call&);
absl::StatusOr<v1::ContainerStatusResponse> ContainerStatus(const Api&,
                                                            const v1::ContainerStatusRequest&,
                                                            const Call&);
absl::StatusOr<v1::ListContainersResponse> ListContainers(const Api&,
                                                          const v1::ListContainersRequest&,
                                                          const Call&);
absl::StatusOr<v1::UpdateContainerResourcesResponse> UpdateContainerResources(
    const Api&, const v1::UpdateContainerResourcesRequest&, const Call&);
absl::StatusOr<v1::ReopenContainerLogResponse> ReopenContainerLog(
    const Api&, const v1::ReopenContainerLogRequest&, const Call&);
absl::StatusOr<v1::ExecSyncResponse> ExecSync(const Api&, const v1::ExecSyncRequest&, const Call&);
absl::StatusOr<v1::ExecResponse> Exec(const Api&, const v1::ExecRequest&, const Call&);
absl::StatusOr<v1::AttachResponse> Attach(const Api&, const v1::AttachRequest&, const Call&);
absl::StatusOr<v1::PortForwardResponse> PortForward(const Api&, const v1::PortForwardRequest&,
                                                    const Call&);
absl::StatusOr<v1::ContainerStatsResponse> ContainerStats(const Api&,
                                                          const v1::ContainerStatsRequest&,
                                                          const Call&);
absl::StatusOr<v1::ListContainerStatsResponse> ListContainerStats(
    const Api&, const v1::ListContainerStatsRequest&, const Call&);

absl::StatusOr<v1::PullImageResponse> PullImage(const Api&, const v1::PullImageRequest&,
                                                const Call&);
absl::StatusOr<v1::ImageStatusResponse> ImageStatus(const Api&, const v1::ImageStatusRequest&,
                                                    const Call&);
absl::StatusOr<v1::ListImagesResponse> ListImages(const Api&, const v1::ListImagesRequest&,
                                                  const Call&);
absl::StatusOr<v1::RemoveImageResponse> RemoveImage(const Api&, const v1::RemoveImageRequest&,
                                                    const Call&);
absl::StatusOr<v1::PullSecurityProfileResponse> PullSecurityProfile(
    const Api&, const v1::PullSecurityProfileRequest&, const Call&);
absl::StatusOr<v1::ListSecurityProfilesResponse> ListSecurityProfiles(
    const Api&, const v1::ListSecurityProfilesRequest&, const Call&);
absl::StatusOr<v1::RemoveSecurityProfileResponse> RemoveSecurityProfile(
    const Api&, const v1::RemoveSecurityProfileRequest&, const Call&);
absl::StatusOr<v1::ImageFsInfoResponse> ImageFsInfo(const Api&, const v1::ImageFsInfoRequest&,
                                                    const Call&);

}  // namespace crisp::cri
