#include "runtime/security_profiles.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "digest/hasher.h"
#include "fakes/evil_image.h"

namespace crisp::runtime {
namespace {

using image::ServeSeccompProfile;

constexpr char kAllow[] = R"({"defaultAction": "SCMP_ACT_ALLOW"})";

std::string TemporaryDirectory() {
  std::string path = "/tmp/crisp-profiles-XXXXXX";
  REQUIRE(mkdtemp(path.data()) != nullptr);
  return path;
}

struct ProfilesFixture {
  ProfilesFixture() {
    options.registry_config_dirs = {paths.root() + "/certs.d"};
    options.attempts = 1;
    Restart();
  }
  ~ProfilesFixture() { (void)base::RemoveTree(paths.root()); }

  // As the next crispd finds them.
  void Restart() {
    profiles.emplace(paths, options);
    REQUIRE(profiles->Load().ok());
  }
  absl::StatusOr<bool> Pull(const std::string& name) { return profiles->Pull(name, {}, {}); }
  // What a container that names the artifact gets.
  std::string Document(const std::string& name) const {
    v1::SecurityProfile profile;
    profile.set_profile_type(v1::SecurityProfile::OCI);
    profile.set_oci_ref(name);
    return profiles->Document(profile)->value_or("not pulled");
  }
  std::vector<std::string> Records() const {
    return base::ListDir(paths.ProfileRecords()).value_or(std::vector<std::string>());
  }

  const base::Paths paths{TemporaryDirectory(), "/nonexistent"};
  image::PullOptions options;
  image::EvilRegistry registry;
  std::optional<SecurityProfiles> profiles;
};

std::string DigestOf(const std::string& name) { return name.substr(name.find('@') + 1); }

TEST_CASE("a profile is pulled once, and then there for containers, also after a restart") {
  ProfilesFixture f;
  const std::string name = ServeSeccompProfile(f.registry, kAllow);
  CHECK(f.Document(name) == "not pulled");
  const absl::StatusOr<bool> first = f.Pull(name);
  INFO(first.status());
  REQUIRE(first.ok());
  CHECK_FALSE(*first);
  for (const bool restarted : {false, true}) {
    if (restarted) f.Restart();
    const size_t requests = f.registry.requests().size();
    CHECK(f.Pull(name).value_or(false));
    CHECK(f.registry.requests().size() == requests);
    CHECK(f.Document(name) == kAllow);
    const std::vector<ProfileInfo> all = f.profiles->List();
    REQUIRE(all.size() == 1);
    CHECK(all[0].digest == DigestOf(name));
    CHECK(all[0].names == std::vector<std::string>{name});
    CHECK(all[0].bytes > std::string(kAllow).size());
  }
}

TEST_CASE("another name of a profile asks no registry, and counts only once it was pulled") {
  ProfilesFixture f;
  const std::string name = ServeSeccompProfile(f.registry, kAllow);
  REQUIRE(f.Pull(name).ok());
  const std::string other = absl::StrCat("other.invalid/x@", DigestOf(name));
  CHECK(f.Document(other) == "not pulled");
  CHECK(f.Pull(other).value_or(false));
  CHECK(f.Document(other) == kAllow);
  f.Restart();
  CHECK(f.Document(other) == kAllow);
  REQUIRE(f.profiles->List().size() == 1);
  CHECK(f.profiles->List()[0].names == std::vector<std::string>{name, other});
}

TEST_CASE("a profile that is named by its SHA-512 digest is there after a restart, too") {
  ProfilesFixture f;
  const std::string manifest = image::MakeArtifactManifest(image::kSeccompArtifactType, {kAllow});
  digest::Hasher hasher(digest::Algorithm::kSha512);
  hasher.Update(manifest);
  const std::string digest = hasher.Finish();
  f.registry.Serve(absl::StrCat("/v2/repo/manifests/", digest), image::EvilReply{.body = manifest});
  image::ServeBlob(f.registry, kAllow);
  const std::string name = absl::StrCat(f.registry.host(), "/repo@", digest);
  const absl::StatusOr<bool> pulled = f.Pull(name);
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  f.Restart();
  REQUIRE(f.profiles->List().size() == 1);
  CHECK(f.profiles->List()[0].digest == digest);
  CHECK(f.Document(name) == kAllow);
}

TEST_CASE("of the names of a profile the newest thousand count") {
  ProfilesFixture f;
  const std::string name = ServeSeccompProfile(f.registry, kAllow);
  REQUIRE(f.Pull(name).ok());
  for (int i = 0; i < 1000; ++i)
    REQUIRE(f.Pull(absl::StrCat("host.invalid/r", i, "@", DigestOf(name))).value_or(false));
  CHECK(f.profiles->List()[0].names.size() == 1000);
  CHECK(f.Document(name) == "not pulled");
  CHECK(f.Document(absl::StrCat("host.invalid/r0@", DigestOf(name))) == kAllow);
  CHECK(f.Pull(name).value_or(false));
  CHECK(f.Document(name) == kAllow);
  CHECK(f.Document(absl::StrCat("host.invalid/r0@", DigestOf(name))) == "not pulled");
}

TEST_CASE("a removed profile is gone for new containers, and can be removed again") {
  ProfilesFixture f;
  const std::string name = ServeSeccompProfile(f.registry, kAllow);
  REQUIRE(f.Pull(name).ok());
  for (int i = 0; i < 2; ++i) CHECK(f.profiles->Remove(DigestOf(name)).ok());
  CHECK(f.profiles->Remove("../../etc").ok());
  CHECK(f.profiles->List().empty());
  CHECK(f.Document(name) == "not pulled");
  CHECK(f.Records().empty());
  CHECK_FALSE(f.Pull(name).value_or(true));
}

TEST_CASE("what no container could use is SecurityProfileInvalid and not kept") {
  ProfilesFixture f;
  const auto refused = [&](const std::string& name, const std::string& why) {
    CAPTURE(name);
    const absl::Status status = f.Pull(name).status();
    INFO(status);
    CHECK(absl::IsInvalidArgument(status));
    CHECK(absl::StartsWith(status.message(), "SecurityProfileInvalid: "));
    CHECK(absl::StrContains(status.message(), why));
  };
  refused(ServeSeccompProfile(f.registry, "not JSON"), "seccomp profile");
  refused(ServeSeccompProfile(f.registry, R"({"defaultAction": "SCMP_ACT_NOTIFY"})"),
          "SCMP_ACT_NOTIFY");
  refused(ServeSeccompProfile(f.registry, std::string((1 << 20) + 1, ' ')), "at most 1048576");
  const image::TestImage image = image::MakeImage({"x"});
  Serve(f.registry, image);
  refused(absl::StrCat(f.registry.host(), "/repo@", image.digest().str()), "has the type");
  refused("host/repo:v1", "must have a digest");
  refused("", "image.image");
  CHECK(f.profiles->List().empty());
  CHECK(f.Records().empty());
  // Others are tried again by kubelet.
  const std::string gone = ServeSeccompProfile(f.registry, kAllow);
  f.registry.Clear();
  const absl::Status missing = f.Pull(gone).status();
  CHECK(absl::IsNotFound(missing));
  CHECK_FALSE(absl::StrContains(missing.message(), "SecurityProfileInvalid"));
}

TEST_CASE("a damaged record of a profile stops no start, and the profile is pulled again") {
  ProfilesFixture f;
  const std::string name = ServeSeccompProfile(f.registry, kAllow);
  REQUIRE(f.Pull(name).ok());
  REQUIRE(f.Records().size() == 1);
  const std::string record =
      base::JoinPath(f.paths.ProfileRecords(), f.Records()[0], base::kRecordFile);
  REQUIRE(base::WriteFileAtomic(record, "", 0600).ok());
  CHECK(f.Document(name) == "not pulled");
  f.Restart();
  CHECK(f.profiles->List().empty());
  CHECK(f.Records().empty());
  CHECK(base::ListDir(f.paths.Quarantine())->size() == 1);
  CHECK_FALSE(f.Pull(name).value_or(true));
  CHECK(f.Document(name) == kAllow);
}

TEST_CASE("profiles that cannot be looked for stop no start") {
  ProfilesFixture f;
  REQUIRE(base::WriteFileAtomic(f.paths.ProfileRecords(), "not a directory", 0600).ok());
  f.Restart();
  CHECK(f.profiles->List().empty());
}

TEST_CASE("a profile that can no longer be read is pulled again, and keeps its names") {
  ProfilesFixture f;
  const std::string name = ServeSeccompProfile(f.registry, kAllow);
  const std::string other = ServeSeccompProfile(f.registry, kAllow, "other");
  REQUIRE(DigestOf(other) == DigestOf(name));
  REQUIRE(f.Pull(name).ok());
  for (const std::string& asked : {name, other}) {
    CAPTURE(asked);
    REQUIRE(f.Records().size() == 1);
    REQUIRE(base::RemoveTree(base::JoinPath(f.paths.ProfileRecords(), f.Records()[0])).ok());
    CHECK(f.Document(name) == "not pulled");
    CHECK_FALSE(f.Pull(asked).value_or(true));
    CHECK(f.Document(asked) == kAllow);
    CHECK(f.Document(name) == kAllow);
  }
}

}  // namespace
}  // namespace crisp::runtime
