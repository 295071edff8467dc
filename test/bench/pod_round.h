// Takes one pod of a runtime through its life and measures every CRI call. Failures throw
// std::runtime_error; the runtime's fixture removes pods that are left then.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/info_codec.h"
#include "integration/endpoint.h"

namespace crisp::bench {

namespace v1 = ::runtime::v1;

// Nanoseconds of each call, measured by the client.
struct PodTimes {
  int64_t run_pod = 0;
  int64_t create = 0;
  int64_t start = 0;
  int64_t exec = 0;
  int64_t stop = 0;
  int64_t remove = 0;
  int64_t stop_pod = 0;
  int64_t remove_pod = 0;
  int64_t Up() const { return run_pod + create + start; }
  int64_t Down() const { return stop + remove + stop_pod + remove_pod; }
  std::vector<Phase> pod_phases;  // if the runtime tells
  std::vector<Phase> container_phases;
};

// A pod with one busybox container that exits with code 0 on SIGTERM.
class TimedPod {
 public:
  TimedPod(test::Endpoint& daemon, bool host_network)
      : daemon_(daemon), host_network_(host_network) {}

  void Up();    // RunPodSandbox, CreateContainer, StartContainer
  void Exec();  // ExecSync of `true`
  void Down();  // StopContainer, RemoveContainer, StopPodSandbox, RemovePodSandbox

  const PodTimes& times() const { return times_; }
  // The pids of pause and of the container, valid after Up().
  const Info& pod() const { return pod_; }
  const Info& container() const { return container_; }

 private:
  template <typename Request, typename Response>
  Response Timed(grpc::Status (v1::RuntimeService::Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                 const Request& request, int64_t& nanos);
  v1::CreateContainerRequest CreateRequest(const v1::PodSandboxConfig& config) const;
  void Inspect();
  void CheckEnded();

  test::Endpoint& daemon_;
  bool host_network_;
  std::string pod_id_;
  std::string container_id_;
  Info pod_;
  Info container_;
  PodTimes times_;
};

}  // namespace crisp::bench
