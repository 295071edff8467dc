// The four kinds of credentials of PullImage, with docker-registry and htpasswd, and with a test
// registry that requires tokens.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "fakes/evil_registry.h"
#include "fakes/tar_builder.h"
#include "image_fixture.h"
#include "integration/daemon.h"
#include "linux/spawn.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;
using Images = v1::ImageService::Stub;

namespace {

constexpr char kUser[] = "ann";
constexpr char kPassword[] = "s3cret-word";
// bcrypt of the password, the only hash docker-registry takes.
constexpr char kHash[] = "$2y$04$ZceMHFuY7UvQqKtzzhD8p.6FpVlS4xFDZXAIQg8ohM/t0ILVgjRMK";

// docker-registry with the test registry's images, read-only, for clients with the password.
class PasswordRegistry {
 public:
  PasswordRegistry() {
    char name[] = "/tmp/crisp-registry-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    dir_ = name;
    const std::string storage = absl::StrCat(getenv("CRISP_TEST_CERTS_DIR"), "/../storage");
    REQUIRE(access(storage.c_str(), R_OK) == 0);
    Write("/htpasswd", absl::StrCat(kUser, ":", kHash, "\n"));
    Write("/config.yml",
          absl::StrCat("version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n",
                       "  filesystem:\n    rootdirectory: ", storage,
                       "\n  maintenance:\n    readonly:\n      enabled: true\n",
                       "http:\n  addr: 127.0.0.1:0\nauth:\n  htpasswd:\n    realm: test\n",
                       "    path: ", dir_, "/htpasswd\n"));
    const absl::StatusOr<base::UniqueFd> log =
        base::Open(dir_ + "/log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    REQUIRE(log.ok());
    const absl::StatusOr<linux::Child> child =
        linux::Spawn({.path = "/usr/bin/docker-registry",
                      .args = {"docker-registry", "serve", dir_ + "/config.yml"},
                      .env = {"OTEL_TRACES_EXPORTER=none"}},
                     {-1, log->get(), log->get()});
    REQUIRE(child.ok());
    pid_ = child->pid;
    AwaitListening();
  }
  ~PasswordRegistry() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    (void)base::RemoveTree(dir_);
  }
  const std::string& address() const { return address_; }

 private:
  void Write(const char* name, const std::string& text) {
    REQUIRE(base::WriteFileAtomic(dir_ + name, text, 0600).ok());
  }
  // Only its log says when it listens.
  void AwaitListening() {
    const std::string words = "listening on ";
    for (int i = 0; i < 2000; ++i) {
      const std::string log = base::ReadFile(dir_ + "/log", 1 << 20).value_or("");
      const size_t at = log.find(words);
      if (at != std::string::npos) {
        const size_t begin = at + words.size();
        address_ = log.substr(begin, log.find_first_not_of("0123456789.:", begin) - begin);
        return;
      }
      usleep(5000);
    }
    FAIL("docker-registry does not listen: " << base::ReadFile(dir_ + "/log").value_or(""));
  }

  std::string dir_;
  std::string address_;
  pid_t pid_ = -1;
};

grpc::Status TryPull(Daemon& daemon, const std::string& image, const v1::AuthConfig& auth) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  *request.mutable_auth() = auth;
  v1::PullImageResponse response;
  return daemon.Try(daemon.images(), &Images::PullImage, request, &response);
}

void PullAndRemove(Daemon& daemon, const std::string& image, const v1::AuthConfig& auth) {
  daemon.Check(TryPull(daemon, image, auth));
  v1::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  daemon.Call(daemon.images(), &Images::RemoveImage, request);
}

// Nothing may be pulled, and neither the error nor the log may contain the secret.
void MustBeRefused(Daemon& daemon, const std::string& image, const v1::AuthConfig& auth, Code code,
                   const std::string& secret) {
  const grpc::Status status = TryPull(daemon, image, auth);
  INFO(status.error_message());
  CHECK(status.error_code() == code);
  CHECK_FALSE(absl::StrContains(status.error_message(), secret));
  CHECK(daemon.Call(daemon.images(), &Images::ListImages, {}).images_size() == 0);
}

v1::AuthConfig Password(const std::string& user, const std::string& password) {
  v1::AuthConfig auth;
  auth.set_username(user);
  auth.set_password(password);
  return auth;
}

v1::AuthConfig Encoded(const std::string& text) {
  v1::AuthConfig auth;
  auth.set_auth(text);
  return auth;
}

// Serves "repo:v1" to clients with the bearer token, and the token to clients with the credentials.
void ServeForToken(image::EvilRegistry& registry, const std::string& token,
                   const std::string& refresh_token) {
  const std::string layer = snapshot::TarBuilder().File("hello", "world").Done();
  Serve(registry, image::MakeImage({layer}));
  registry.Serve("/token", [=](const image::EvilRequest& request) {
    const bool known = request.method == "POST" &&
                       absl::StrContains(request.body, "grant_type=refresh_token") &&
                       absl::StrContains(request.body, "refresh_token=" + refresh_token);
    if (!known) return image::EvilReply{.status = 401};
    return image::EvilReply{.body = absl::StrCat(R"({"access_token":")", token, "\"}")};
  });
  registry.Guard([=, host = registry.host()](const image::EvilRequest& request) {
    if (request.path == "/token" || image::Authorization(request) == "Bearer " + token) {
      return image::EvilReply{.status = 0};
    }
    return image::EvilReply{
        .status = 401,
        .headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", host,
                                 "/token\",service=\"s\",scope=\"repository:repo:pull\"")}};
  });
}

}  // namespace

TEST_CASE("a registry with passwords accepts username and password, or both in auth") {
  Daemon daemon;
  const PasswordRegistry registry;
  const std::string image = registry.address() + "/e2e-test-images/busybox:1.29-2";
  PullAndRemove(daemon, image, Password(kUser, kPassword));
  PullAndRemove(daemon, image, Encoded(absl::Base64Escape(absl::StrCat(kUser, ":", kPassword))));

  MustBeRefused(daemon, image, {}, Code::UNAUTHENTICATED, kPassword);
  MustBeRefused(daemon, image, Password(kUser, "wr0ng-word"), Code::UNAUTHENTICATED, "wr0ng-word");
  MustBeRefused(daemon, image, Password("bob", kPassword), Code::UNAUTHENTICATED, kPassword);
  const std::string wrong = absl::Base64Escape(absl::StrCat(kUser, ":wr0ng-word"));
  MustBeRefused(daemon, image, Encoded(wrong), Code::UNAUTHENTICATED, wrong);
  for (const std::string& damaged : {std::string("!not base64!"), absl::Base64Escape("no-colon")}) {
    MustBeRefused(daemon, image, Encoded(damaged), Code::INVALID_ARGUMENT, damaged);
  }
  const std::string log = daemon.Log();
  for (const std::string& secret : {std::string(kPassword), std::string("wr0ng-word"), wrong}) {
    CHECK_FALSE(absl::StrContains(log, secret));
  }
}

TEST_CASE("for a registry with tokens identity_token is exchanged and registry_token is sent") {
  Daemon daemon;
  image::EvilRegistry registry;
  ServeForToken(registry, "t0ken-of-the-registry", "r3fresh-token");
  const std::string image = registry.host() + "/repo:v1";
  v1::AuthConfig identity;
  identity.set_identity_token("r3fresh-token");
  PullAndRemove(daemon, image, identity);
  CHECK(registry.Count("POST", "/token") == 1);
  v1::AuthConfig direct;
  direct.set_registry_token("t0ken-of-the-registry");
  PullAndRemove(daemon, image, direct);
  CHECK(registry.Count("POST", "/token") == 1);

  MustBeRefused(daemon, image, {}, Code::UNAUTHENTICATED, "t0ken");
  identity.set_identity_token("stolen-t0ken");
  MustBeRefused(daemon, image, identity, Code::UNAUTHENTICATED, "stolen-t0ken");
  direct.set_registry_token("forged-t0ken");
  MustBeRefused(daemon, image, direct, Code::UNAUTHENTICATED, "forged-t0ken");
  const std::string log = daemon.Log();
  CHECK_FALSE(absl::StrContains(log, "t0ken"));
  CHECK_FALSE(absl::StrContains(log, "r3fresh"));
}

TEST_CASE("credentials for another server are not sent") {
  Daemon daemon;
  const PasswordRegistry registry;
  const std::string image = registry.address() + "/e2e-test-images/busybox:1.29-2";
  v1::AuthConfig auth = Password(kUser, kPassword);
  auth.set_server_address("other.example");
  MustBeRefused(daemon, image, auth, Code::UNAUTHENTICATED, kPassword);
  auth.set_server_address(registry.address());
  PullAndRemove(daemon, image, auth);
}
