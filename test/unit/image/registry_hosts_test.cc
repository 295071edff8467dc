#include "image/registry_hosts.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

struct Certs {
  TempDir dir;
  void Write(const std::string& directory, const std::string& file, const std::string& text) {
    const std::string path = base::JoinPath(dir.path, directory);
    REQUIRE(base::MakeDirs(path, 0700).ok());
    REQUIRE(base::WriteFileAtomic(base::JoinPath(path, file), text, 0600).ok());
  }
  std::vector<RegistryHost> Hosts(const std::string& registry) {
    const auto hosts = RegistryHosts(registry, {dir.path});
    INFO(hosts.status().ToString());
    REQUIRE(hosts.ok());
    return *hosts;
  }
};

}  // namespace

TEST_CASE("without configuration a registry is https, loopback ones http") {
  Certs certs;
  const std::pair<const char*, const char*> rows[] = {
      {"docker.io", "https://registry-1.docker.io/v2"},
      {"quay.io", "https://quay.io/v2"},
      {"quay.io:5000", "https://quay.io:5000/v2"},
      {"localhost", "http://localhost/v2"},
      {"localhost:5000", "http://localhost:5000/v2"},
      {"127.0.0.1:5000", "http://127.0.0.1:5000/v2"},
      {"[::1]:5000", "http://[::1]:5000/v2"},
      {"10.0.0.1:5000", "https://10.0.0.1:5000/v2"},
      {"127.0.0.1.example", "https://127.0.0.1.example/v2"}};
  for (const auto& [registry, api] : rows) {
    CAPTURE(registry);
    const auto hosts = certs.Hosts(registry);
    REQUIRE(hosts.size() == 1);
    CHECK(hosts[0].api.text() == api);
    CHECK_FALSE(hosts[0].is_mirror);
    CHECK_FALSE(hosts[0].configured);
  }
}

TEST_CASE("a directory is found by both spellings of the port, else _default is used") {
  Certs certs;
  certs.Write("_default", "hosts.toml", "server = \"https://default\"");
  CHECK(certs.Hosts("a:5000")[0].api.text() == "https://default/v2");
  certs.Write("a:5000", "hosts.toml", "server = \"https://colon\"");
  CHECK(certs.Hosts("a:5000")[0].api.text() == "https://colon/v2");
  certs.Write("a_5000_", "hosts.toml", "server = \"https://underscores\"");
  CHECK(certs.Hosts("a:5000")[0].api.text() == "https://underscores/v2");
  CHECK(certs.Hosts("a")[0].api.text() == "https://default/v2");
  // Of several directories the first with the registry counts.
  Certs other;
  other.Write("a", "hosts.toml", "server = \"https://other\"");
  CHECK((*RegistryHosts("a", {other.dir.path, certs.dir.path}))[0].api.text() ==
        "https://other/v2");
}

TEST_CASE("_default without a server uses the registry itself") {
  Certs certs;
  certs.Write("_default", "hosts.toml", "[host.\"http://mirror:5000\"]\n");
  const auto hosts = certs.Hosts("docker.io");
  REQUIRE(hosts.size() == 2);
  CHECK(hosts[0].api.text() == "http://mirror:5000/v2");
  CHECK(hosts[0].is_mirror);
  CHECK(hosts[1].api.text() == "https://registry-1.docker.io/v2");
  CHECK_FALSE(hosts[1].is_mirror);
}

TEST_CASE("hosts.toml: all keys of containerd are read") {
  Certs certs;
  certs.Write("docker.io", "ca.pem", "CA-ONE");
  certs.Write("docker.io", "ca2.pem", "CA-TWO");
  certs.Write("docker.io", "hosts.toml", R"(
server = "https://registry-1.docker.io"
[host."https://z-first.example"]
  capabilities = ["pull", "resolve", "push"]
  ca = ["ca.pem", "ca2.pem"]
  client = [["client.cert", "/etc/client.key"]]
  dial_timeout = "1m30s"
[host."http://a-second.example:5000/prefix"]
  capabilities = ["pull"]
  skip_verify = true
  client = "/both.pem"
  ca = "ca.pem"
[host."https://third.example/v2/proxy"]
  override_path = true
  client = [["a.pem", ""], ["b.pem", "b.key"]]
  [host."https://third.example/v2/proxy".header]
    Authorization = "Bearer x"
    X-Two = ["1", "2"]
[host."fourth.example/"]
  client = ["c.pem", "d.pem"]
)");
  const auto hosts = certs.Hosts("docker.io");
  REQUIRE(hosts.size() == 5);
  CHECK(hosts[0].api.text() == "https://z-first.example/v2");
  CHECK(hosts[0].can_pull);
  CHECK(hosts[0].can_resolve);
  CHECK(hosts[0].configured);
  CHECK(hosts[0].tls.ca_pem == "CA-ONE\nCA-TWO\n");
  CHECK(hosts[0].tls.clients ==
        std::vector<ClientCertificate>{
            {certs.dir.path + "/docker.io/client.cert", "/etc/client.key"}});
  CHECK(hosts[0].connect_timeout == absl::Seconds(90));
  CHECK(hosts[1].api.text() == "http://a-second.example:5000/prefix/v2");
  CHECK_FALSE(hosts[1].can_resolve);
  CHECK(hosts[1].tls.skip_verify);
  CHECK(hosts[1].tls.clients == std::vector<ClientCertificate>{{"/both.pem", ""}});
  CHECK(hosts[2].api.text() == "https://third.example/v2/proxy");
  CHECK(hosts[2].headers ==
        std::vector<std::string>{"Authorization: Bearer x", "X-Two: 1", "X-Two: 2"});
  const std::string here = certs.dir.path + "/docker.io/";
  CHECK(hosts[2].tls.clients ==
        std::vector<ClientCertificate>{{here + "a.pem", ""}, {here + "b.pem", here + "b.key"}});
  CHECK(hosts[3].api.text() == "https://fourth.example/v2");
  CHECK(hosts[3].tls.clients ==
        std::vector<ClientCertificate>{{here + "c.pem", ""}, {here + "d.pem", ""}});
  CHECK_FALSE(hosts[4].is_mirror);
  CHECK(hosts[4].headers.empty());
}

TEST_CASE("keys at the top of hosts.toml are the server's") {
  Certs certs;
  certs.Write("r.example", "hosts.toml", R"(
server = "http://upstream.example"
skip_verify = true
capabilities = ["pull"]
[header]
  X-A = "1"
)");
  const auto hosts = certs.Hosts("r.example");
  REQUIRE(hosts.size() == 1);
  CHECK(hosts[0].api.text() == "http://upstream.example/v2");
  CHECK(hosts[0].is_mirror);  // not the host of the reference
  CHECK(hosts[0].tls.skip_verify);
  CHECK_FALSE(hosts[0].can_resolve);
  CHECK(hosts[0].headers == std::vector<std::string>{"X-A: 1"});
}

TEST_CASE("Docker's certificate files are used without a hosts.toml") {
  Certs certs;
  certs.Write("r.example_5000_", "ca.crt", "CA");
  certs.Write("r.example_5000_", "client.cert", "C");
  certs.Write("r.example_5000_", "client.key", "K");
  certs.Write("r.example_5000_", "another.cert", "C and K");
  const auto hosts = certs.Hosts("r.example:5000");
  REQUIRE(hosts.size() == 1);
  CHECK(hosts[0].tls.ca_pem == "CA\n");
  const std::string here = certs.dir.path + "/r.example_5000_/";
  CHECK(hosts[0].tls.clients ==
        std::vector<ClientCertificate>{{here + "another.cert", ""},
                                       {here + "client.cert", here + "client.key"}});
  certs.Write("localhost", "ca.crt", "CA");
  CHECK(certs.Hosts("localhost")[0].api.text() == "https://localhost/v2");
}

TEST_CASE("an invalid hosts.toml is an error naming file and key") {
  const std::pair<const char*, const char*> rows[] = {
      {"[", "line 1"},
      {"server = 1", "server: must be a string"},
      {"server = \"ftp://x\"", "server: "},
      {"server = \"https://u:hunter2@x\"", "server: "},
      {"host = 1", "host: must be a table"},
      {"[host]\n\"https://x\" = 1", "host.\"https://x\": must be a table"},
      {"[host.\"ftp://x\"]", "scheme must be"},
      {"[host.\"https://u:hunter2@x\"]", "host: "},
      {"[host.\"https://x\"]\ncapabilities = [\"fly\"]", "capabilities: \"fly\""},
      {"[host.\"https://x\"]\ncapabilities = 1", "capabilities: "},
      {"[host.\"https://x\"]\nskip_verify = \"yes\"", "skip_verify: must be a boolean"},
      {"[host.\"https://x\"]\nca = \"missing.pem\"", "ca: open "},
      {"[host.\"https://x\"]\nclient = [[\"a\", \"b\", \"c\"]]", "client: "},
      {"[host.\"https://x\"]\nclient = 1", "client: "},
      {"[host.\"https://x\"]\ndial_timeout = \"soon\"", "dial_timeout: "},
      {"[host.\"https://x\"]\ndial_timeout = \"-1s\"", "dial_timeout: "},
      {"[header]\nX-A = \"hunter2\\r\\nX-B: 1\"", "header: "},
      {"[header]\n\"X-A: hunter2\" = \"1\"", "header: "},
      {"header = 1", "header: must be a table"},
  };
  for (const auto& [text, words] : rows) {
    CAPTURE(text);
    Certs certs;
    certs.Write("r", "hosts.toml", text);
    const absl::Status status = RegistryHosts("r", {certs.dir.path}).status();
    CAPTURE(status.ToString());
    CHECK_FALSE(status.ok());
    CHECK(absl::StrContains(status.message(), words));
    CHECK(absl::StrContains(status.message(), "r/hosts.toml: "));
    CHECK_FALSE(absl::StrContains(status.message(), "hunter2"));
  }
}

TEST_CASE("hosts.toml: case does not matter where it does not for containerd") {
  Certs certs;
  certs.Write("r", "hosts.toml", R"(
Server = "https://upstream.example"
[Host."https://mirror.example/prefix"]
  Capabilities = ["Pull", "RESOLVE", "referrers"]
  Skip_Verify = true
  Override_Path = true
  [Host."https://mirror.example/prefix".Header]
    X-A = "1"
)");
  const auto hosts = certs.Hosts("r");
  REQUIRE(hosts.size() == 2);
  CHECK(hosts[0].api.text() == "https://mirror.example/prefix");
  CHECK(hosts[0].can_pull);
  CHECK(hosts[0].can_resolve);
  CHECK(hosts[0].tls.skip_verify);
  CHECK(hosts[0].headers == std::vector<std::string>{"X-A: 1"});
  CHECK(hosts[1].api.text() == "https://upstream.example/v2");
}

TEST_CASE("unknown keys of hosts.toml are ignored, as containerd does") {
  Certs certs;
  certs.Write("r", "hosts.toml", "future = 1\n[host.\"https://x\"]\nother = true\n");
  CHECK(certs.Hosts("r").size() == 2);
}

TEST_CASE("empty values of hosts.toml are none, and an empty file leaves Docker's own files") {
  Certs certs;
  certs.Write("r", "hosts.toml", "capabilities = []\n[host.\"https://x\"]\ncapabilities = []\n");
  for (const RegistryHost& host : certs.Hosts("r")) {
    CHECK(host.can_pull);
    CHECK(host.can_resolve);
  }
  certs.Write("s", "hosts.toml", "server = \"\"\ndial_timeout = \"\"\n");
  REQUIRE(certs.Hosts("s").size() == 1);
  CHECK(certs.Hosts("s")[0].api.text() == "https://s/v2");
  CHECK(certs.Hosts("s")[0].connect_timeout == RegistryHost().connect_timeout);
  certs.Write("e", "hosts.toml", "");
  certs.Write("e", "ca.crt", "CA");
  const auto hosts = certs.Hosts("e");
  REQUIRE(hosts.size() == 1);
  CHECK(hosts[0].tls.ca_pem == "CA\n");
}
