// Probes and lifecycle hooks of a container.
#include "absl/strings/numbers.h"
#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

constexpr int64_t kMaxProbePort = 65535;

enum class Use { kProbe, kHook };

void CheckProbePort(Fields& fields, const Container& container, const std::string& port) {
  int64_t number = 0;
  if (absl::SimpleAtoi(port, &number)) {
    if (number < 1 || number > kMaxProbePort)
      fields.Add("port", absl::StrCat("must be from 1 to ", kMaxProbePort, " or a name"));
    return;
  }
  for (const ContainerPort& known : container.ports) {
    if (!port.empty() && known.name == port) return;
  }
  if (fields.Has("port"))
    fields.Add("port", absl::StrCat("\"", port, "\" is not the name of a port of the container"));
}

void DecodeHttpGet(Fields& fields, const Container& container, HttpGet& get) {
  fields.Text("host", get.host);
  fields.Text("path", get.path);
  fields.Require("port");
  fields.IntOrText("port", get.port);
  CheckProbePort(fields, container, get.port);
  fields.Choice("scheme", get.is_https, {{"HTTP", false}, {"HTTPS", true}});
  fields.List("httpHeaders", [&](Fields& header) {
    auto& [name, value] = get.headers.emplace_back();
    if (header.Require("name")) header.Text("name", name);
    header.Text("value", value);
    if ((name + value).find_first_of("\r\n") != std::string::npos)
      header.Add("", "must not contain line breaks");
  });
}

void DecodeHandler(Fields& fields, const Container& container, Use use, Handler& handler) {
  int kinds = 0;
  const char* others = use == Use::kProbe ? "tcpSocket, grpc" : "sleep";
  for (const char* name : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"})
    kinds += fields.Has(name) ? 1 : 0;
  if (kinds != 1) fields.Add("", absl::StrCat("must have exactly one of exec, httpGet, ", others));
  fields.Object("exec", [&](Fields& exec) {
    std::vector<std::string>& command = handler.exec.emplace();
    if (exec.Require("command")) exec.Texts("command", command);
    if (command.empty()) exec.Add("command", "must not be empty");
  });
  fields.Object("httpGet",
                [&](Fields& get) { DecodeHttpGet(get, container, handler.http_get.emplace()); });
  if (use == Use::kHook) {
    fields.Object("sleep", [&](Fields& sleep) {
      sleep.Require("seconds");
      sleep.Int("seconds", handler.sleep.emplace());
    });
    return;
  }
  fields.Object("tcpSocket", [&](Fields& tcp) {
    TcpSocket& out = handler.tcp_socket.emplace();
    tcp.Text("host", out.host);
    tcp.Require("port");
    tcp.IntOrText("port", out.port);
    CheckProbePort(tcp, container, out.port);
  });
  fields.Object("grpc", [&](Fields& grpc) {
    GrpcHealth& out = handler.grpc.emplace();
    if (grpc.Require("port")) grpc.Int("port", out.port, 1, kMaxProbePort);
    grpc.Text("service", out.service);
  });
}

// Zero means the default, as for the API server.
void IntOrDefault(Fields& fields, absl::string_view name, int64_t& out, int64_t max = INT32_MAX) {
  int64_t number = 0;
  fields.Int(name, number, 0, max);
  if (number != 0) out = number;
}

void DecodeProbe(Fields& fields, absl::string_view name, const Container& container,
                 std::optional<Probe>& out) {
  fields.Object(name, [&](Fields& object) {
    Probe& probe = out.emplace();
    DecodeHandler(object, container, Use::kProbe, probe.handler);
    object.Int("initialDelaySeconds", probe.initial_delay);
    IntOrDefault(object, "periodSeconds", probe.period);
    IntOrDefault(object, "timeoutSeconds", probe.timeout);
    // More than one success only makes sense for what can become unready again.
    IntOrDefault(object, "successThreshold", probe.success_threshold,
                 name == "readinessProbe" ? INT32_MAX : 1);
    IntOrDefault(object, "failureThreshold", probe.failure_threshold);
    if (name != "readinessProbe")
      object.Int("terminationGracePeriodSeconds", probe.grace_period, 1);
  });
}

}  // namespace

void DecodeProbes(Fields& fields, Container& container) {
  DecodeProbe(fields, "startupProbe", container, container.startup_probe);
  DecodeProbe(fields, "livenessProbe", container, container.liveness_probe);
  DecodeProbe(fields, "readinessProbe", container, container.readiness_probe);
  fields.Object("lifecycle", [&](Fields& lifecycle) {
    lifecycle.Object("postStart", [&](Fields& hook) {
      DecodeHandler(hook, container, Use::kHook, container.post_start.emplace());
    });
    lifecycle.Object("preStop", [&](Fields& hook) {
      DecodeHandler(hook, container, Use::kHook, container.pre_stop.emplace());
    });
  });
}

}  // namespace crisp::cli
