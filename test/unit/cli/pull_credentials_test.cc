#include "cli/pull_credentials.h"

#include "absl/strings/escaping.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

absl::StatusOr<std::vector<RegistryCredential>> Decode(const std::string& auths) {
  DataObject secret;
  secret.metadata.name = "pull";
  secret.type = "kubernetes.io/dockerconfigjson";
  secret.data[".dockerconfigjson"] = absl::StrCat("{\"auths\": ", auths, "}");
  return DecodePullSecret(secret);
}

// The users that would be tried for `image`, in this order.
std::string UsersFor(const std::string& image, const std::vector<std::string>& servers) {
  std::vector<std::string> auths;
  for (const std::string& server : servers) {
    auths.push_back(
        absl::StrCat("\"", server, "\": {\"username\": \"", server, "=\", \"password\": \"pw\"}"));
  }
  const auto decoded = Decode(absl::StrCat("{", absl::StrJoin(auths, ", "), "}"));
  REQUIRE(decoded.ok());
  std::vector<std::string> users;
  for (const auto& auth : CredentialsFor(image, *decoded)) users.push_back(auth.username());
  return absl::StrJoin(users, " ");
}

}  // namespace

TEST_CASE("credentials are those of the image's registry, the closest first") {
  CHECK(UsersFor("r.example.com/team/i:1", {"r.example.com", "other.example.com"}) ==
        "r.example.com=");
  CHECK(UsersFor("r.example.com/team/i", {"r.example.com", "r.example.com/team"}) ==
        "r.example.com/team= r.example.com=");
  CHECK(UsersFor("r.example.com/else/i", {"r.example.com/team"}) == "");
  CHECK(UsersFor("r.example.com/i", {"*.example.com"}) == "*.example.com=");
  CHECK(UsersFor("a.r.example.com/i", {"*.example.com"}) == "");
  CHECK(UsersFor("localhost:5000/i", {"localhost:5000"}) == "localhost:5000=");
  CHECK(UsersFor("localhost:5000/i", {"localhost"}) == "");
  CHECK(UsersFor("r.example.com/i", {}) == "");
}

TEST_CASE("credentials of Docker Hub are found under the name that docker login writes") {
  for (const char* image : {"nginx", "nginx:1", "library/nginx", "docker.io/library/nginx"}) {
    CAPTURE(image);
    const auto decoded =
        Decode("{\"https://index.docker.io/v1/\": {\"username\": \"u\", \"password\": \"p\"}}");
    REQUIRE(decoded.ok());
    const auto found = CredentialsFor(image, *decoded);
    REQUIRE(found.size() == 1);
    CHECK(found[0].username() == "u");
    CHECK(found[0].password() == "p");
  }
}

TEST_CASE("a user and password that were encoded together are taken apart at the first colon") {
  const auto decoded =
      Decode(absl::StrCat("{\"r\": {\"auth\": \"", absl::Base64Escape("u:p:q"), "\"}}"));
  REQUIRE(decoded.ok());
  CHECK(decoded->at(0).auth.username() == "u");
  CHECK(decoded->at(0).auth.password() == "p:q");
}

TEST_CASE("pull secrets that cannot be read are refused by name") {
  CHECK_THAT(std::string(Decode("{\"r\": {\"auth\": \"*\"}}").status().message()),
             Catch::Contains("Secret pull: .dockerconfigjson") &&
                 Catch::Contains("auth of r must be base64 of user:password"));
  DataObject secret;
  secret.metadata.name = "pull";
  secret.type = "Opaque";
  CHECK(DecodePullSecret(secret).status() ==
        absl::InvalidArgumentError("Secret pull: type \"Opaque\" must be "
                                   "kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg"));
}

}  // namespace crisp::cli
