#include "image/registry_hosts.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <sys/stat.h>
#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::image {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxHosts = 64;

bool Exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

absl::Status Bad(absl::string_view key, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", why));
}

// The value of a key, whose case containerd's decoder ignores too; nullptr when there is none.
const toml::node* Get(const toml::table& table, absl::string_view key) {
  if (const toml::node* exact = table.get(std::string(key))) return exact;
  for (const auto& [name, value] : table) {
    if (absl::EqualsIgnoreCase(std::string(name.str()), key)) return &value;
  }
  return nullptr;
}

// The directory with the registry's configuration; empty when there is none.
std::string FindDirectory(absl::string_view registry, const std::vector<std::string>& dirs) {
  std::vector<std::string> names;
  // Some file systems allow no colon in names: "host:5000" may be written "host_5000_".
  if (const size_t colon = registry.rfind(':');
      colon != absl::string_view::npos && !absl::EndsWith(registry, "]")) {
    names.push_back(absl::StrCat(registry.substr(0, colon), "_", registry.substr(colon + 1), "_"));
  }
  names.emplace_back(registry);
  names.emplace_back("_default");
  for (const std::string& dir : dirs) {
    for (const std::string& name : names) {
      std::string directory = base::JoinPath(dir, name);
      if (Exists(directory)) return directory;
    }
  }
  return "";
}

std::string InDirectory(const std::string& directory, const std::string& path) {
  return absl::StartsWith(path, "/") ? path : base::JoinPath(directory, path);
}

absl::Status AddCa(const std::string& path, HttpTls& tls) {
  CRISP_ASSIGN_OR_RETURN(const std::string pem, base::ReadFile(path, kMaxConfigBytes));
  absl::StrAppend(&tls.ca_pem, pem, "\n");
  return absl::OkStatus();
}

// A string or an array of strings.
absl::StatusOr<std::vector<std::string>> ReadStrings(const toml::node& node,
                                                     absl::string_view key) {
  std::vector<std::string> list;
  if (const auto* text = node.as_string()) {
    list.push_back(text->get());
    return list;
  }
  const toml::array* array = node.as_array();
  if (array == nullptr) return Bad(key, "must be a string or an array of strings");
  for (const toml::node& entry : *array) {
    const auto* text = entry.as_string();
    if (text == nullptr) return Bad(key, "must be a string or an array of strings");
    list.push_back(text->get());
  }
  return list;
}

// "both.pem" or ["cert.pem", "key.pem"], whose key may be "".
absl::Status AddClient(const toml::node& node, const std::string& directory, HttpTls& tls) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> files, ReadStrings(node, "client"));
  if (files.empty()) return absl::OkStatus();
  if (files.size() > 2 || files[0].empty())
    return Bad("client", "must be a file or a pair of files");
  ClientCertificate& client = tls.clients.emplace_back();
  client.cert_file = InDirectory(directory, files[0]);
  if (files.size() == 2 && !files[1].empty()) client.key_file = InDirectory(directory, files[1]);
  return absl::OkStatus();
}

// "both.pem", ["both.pem", ...] or [["cert.pem", "key.pem"], ...].
absl::Status ReadClients(const toml::node& node, const std::string& directory, HttpTls& tls) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return AddClient(node, directory, tls);
  for (const toml::node& entry : *array) {
    CRISP_RETURN_IF_ERROR(AddClient(entry, directory, tls));
  }
  return absl::OkStatus();
}

absl::Status ReadHeaders(const toml::node& node, std::vector<std::string>& headers) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return Bad("header", "must be a table");
  for (const auto& [name, value] : *table) {
    const std::string key(name.str());
    CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> values,
                           ReadStrings(value, absl::StrCat("header.", key)));
    for (const std::string& text : values) {
      const std::string header = absl::StrCat(key, ": ", text);
      const bool control = std::any_of(header.begin(), header.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
      });
      // The message does not quote the value, which may be a secret.
      if (control || absl::StrContains(key, ':'))
        return Bad("header", "must not contain control characters, nor its name a colon");
      headers.push_back(header);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadCapabilities(const toml::node& node, RegistryHost& host) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadStrings(node, "capabilities"));
  if (names.empty()) return absl::OkStatus();  // as if the key were not there
  host.can_pull = host.can_resolve = false;
  for (const std::string& text : names) {
    const std::string name = absl::AsciiStrToLower(text);
    if (name == "pull") {
      host.can_pull = true;
    } else if (name == "resolve") {
      host.can_resolve = true;
    } else if (name != "push" && name != "referrers") {
      return Bad("capabilities", absl::StrCat("\"", text.substr(0, 80),
                                              "\": must be pull, resolve, push or referrers"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadFlag(const toml::table& table, absl::string_view key, bool& flag) {
  const toml::node* node = Get(table, key);
  if (node == nullptr) return absl::OkStatus();
  if (!node->is_boolean()) return Bad(key, "must be a boolean");
  flag = node->as_boolean()->get();
  return absl::OkStatus();
}

// The keys of one host: a [host."..."] table, or the top of the file for the registry itself.
absl::Status ReadHost(const toml::table& table, const std::string& directory, RegistryHost& host,
                      bool& override_path) {
  CRISP_RETURN_IF_ERROR(ReadFlag(table, "skip_verify", host.tls.skip_verify));
  CRISP_RETURN_IF_ERROR(ReadFlag(table, "override_path", override_path));
  if (const toml::node* node = Get(table, "capabilities")) {
    CRISP_RETURN_IF_ERROR(ReadCapabilities(*node, host));
  }
  if (const toml::node* node = Get(table, "ca")) {
    CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> files, ReadStrings(*node, "ca"));
    for (const std::string& file : files) {
      CRISP_RETURN_IF_ERROR(base::Prefix(AddCa(InDirectory(directory, file), host.tls), "ca"));
    }
  }
  if (const toml::node* node = Get(table, "client")) {
    CRISP_RETURN_IF_ERROR(ReadClients(*node, directory, host.tls));
  }
  if (const toml::node* node = Get(table, "header")) {
    CRISP_RETURN_IF_ERROR(ReadHeaders(*node, host.headers));
  }
  if (const toml::node* node = Get(table, "dial_timeout")) {
    const auto* text = node->as_string();
    // Go's duration syntax, which is Abseil's too. An empty one is as if the key were not there.
    if (text != nullptr && text->get().empty()) return absl::OkStatus();
    if (text == nullptr || !absl::ParseDuration(text->get(), &host.connect_timeout) ||
        host.connect_timeout <= absl::ZeroDuration()) {
      return Bad("dial_timeout", "must be a duration like \"5s\"");
    }
  }
  return absl::OkStatus();
}

// "host:port" or "https://host/prefix" -> the URL of the API, which is below /v2 unless
// override_path is set.
absl::StatusOr<Url> ApiUrl(absl::string_view text, bool override_path) {
  std::string url(text);
  if (!absl::StrContains(url, "://")) url = absl::StrCat("https://", url);
  while (absl::EndsWith(url, "/")) url.pop_back();
  if (!override_path && !absl::EndsWith(url, "/v2")) url += "/v2";
  if (absl::StrContains(url, '?')) return absl::InvalidArgumentError("must not have a query");
  return Url::Parse(url);
}

// The URL of the registry itself without configuration.
std::string DefaultServer(absl::string_view registry) {
  if (registry == "docker.io") return "https://registry-1.docker.io";
  const absl::string_view host =
      absl::EndsWith(registry, "]") ? registry : registry.substr(0, registry.rfind(':'));
  return absl::StrCat(Url::IsLoopbackHost(host) ? "http" : "https", "://", registry);
}

absl::Status ReadMirrors(const toml::table& file, const std::string& directory,
                         std::vector<RegistryHost>& hosts) {
  const toml::node* node = Get(file, "host");
  if (node == nullptr) return absl::OkStatus();
  const toml::table* table = node->as_table();
  if (table == nullptr) return Bad("host", "must be a table");
  if (table->size() > kMaxHosts)
    return Bad("host", absl::StrCat("must have at most ", kMaxHosts, " entries"));
  // The order in the file is the order of preference, but the parsed table is sorted by name.
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [key, value] : *table) entries.emplace_back(key.str(), &value);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.second->source().begin < b.second->source().begin;
  });
  for (const auto& [name, value] : entries) {
    const std::string key = absl::StrCat("host.\"", name.substr(0, 200), "\"");
    if (value->as_table() == nullptr) return Bad(key, "must be a table");
    RegistryHost host;
    host.configured = true;
    host.is_mirror = true;
    bool override_path = false;
    CRISP_RETURN_IF_ERROR(
        base::Prefix(ReadHost(*value->as_table(), directory, host, override_path), key));
    absl::StatusOr<Url> api = ApiUrl(name, override_path);
    if (!api.ok()) return base::Prefix(api.status(), "host");
    host.api = *std::move(api);
    hosts.push_back(std::move(host));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RegistryHost>> ReadHostsToml(const std::string& text,
                                                        const std::string& directory,
                                                        absl::string_view registry) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", parsed.error().source().begin.line, ": ",
                     absl::string_view(parsed.error().description().data(),
                                       parsed.error().description().size())));
  }
  const toml::table& file = parsed.table();
  std::vector<RegistryHost> hosts;
  CRISP_RETURN_IF_ERROR(ReadMirrors(file, directory, hosts));
  RegistryHost server;
  bool override_path = false;
  CRISP_RETURN_IF_ERROR(ReadHost(file, directory, server, override_path));
  std::string where = DefaultServer(registry);
  server.may_speak_tls = absl::StartsWith(where, "http://");
  if (const toml::node* node = Get(file, "server")) {
    if (!node->is_string()) return Bad("server", "must be a string");
    if (!node->as_string()->get().empty()) {
      where = node->as_string()->get();
      server.configured = true;
      server.may_speak_tls = false;
      server.is_mirror = true;
    }
  }
  absl::StatusOr<Url> api = ApiUrl(where, override_path);
  if (!api.ok()) return base::Prefix(api.status(), "server");
  server.api = *std::move(api);
  // A `server` that is the registry itself is not a mirror.
  CRISP_ASSIGN_OR_RETURN(const Url itself, Url::Parse(DefaultServer(registry)));
  if (server.api.host() == itself.host()) server.is_mirror = false;
  hosts.push_back(std::move(server));
  return hosts;
}

// Docker's layout: *.crt, and *.cert with *.key, in the order of their names.
absl::Status ReadCertFiles(const std::string& directory, HttpTls& tls) {
  CRISP_ASSIGN_OR_RETURN(std::vector<std::string> names, base::ListDir(directory));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = base::JoinPath(directory, name);
    if (absl::EndsWith(name, ".crt")) CRISP_RETURN_IF_ERROR(AddCa(path, tls));
    if (!absl::EndsWith(name, ".cert")) continue;
    const std::string key = absl::StrCat(absl::StripSuffix(path, ".cert"), ".key");
    tls.clients.push_back({.cert_file = path, .key_file = Exists(key) ? key : ""});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<RegistryHost>> RegistryHosts(absl::string_view registry,
                                                        const std::vector<std::string>& dirs) {
  const std::string directory = FindDirectory(registry, dirs);
  const std::string path = base::JoinPath(directory, "hosts.toml");
  if (!directory.empty() && Exists(path)) {
    CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kMaxConfigBytes));
    auto hosts = ReadHostsToml(text, directory, registry);
    if (!hosts.ok()) return base::Prefix(hosts.status(), path);
    if (!text.empty()) return hosts;  // else containerd reads Docker's files, too
  }
  RegistryHost host;
  if (!directory.empty()) CRISP_RETURN_IF_ERROR(ReadCertFiles(directory, host.tls));
  std::string server = DefaultServer(registry);
  // Certificates for a loopback registry mean that it speaks TLS.
  if (!host.tls.ca_pem.empty() || !host.tls.clients.empty()) {
    server = absl::StrCat("https://",
                          absl::StripPrefix(absl::StripPrefix(server, "https://"), "http://"));
  }
  host.may_speak_tls = absl::StartsWith(server, "http://");
  CRISP_ASSIGN_OR_RETURN(host.api, ApiUrl(server, /*override_path=*/false));
  return std::vector<RegistryHost>{std::move(host)};
}

RegistryHost ByTls(const RegistryHost& plain) {
  RegistryHost host = plain;
  host.api = *Url::Parse(absl::StrCat("https", absl::StripPrefix(plain.api.text(), "http")));
  // Nobody issues certificates for loopback, so without a CA of its own its certificate is not
  // checked, as by containerd: what could stand in its place runs on this node.
  if (host.tls.ca_pem.empty() && !host.tls.skip_verify)
    host.tls.skip_verify = host.tls.skip_verify_only_here = true;
  return host;
}

}  // namespace crisp::image
