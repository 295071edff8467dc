#include "spec/user.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using ::runtime::v1::LinuxContainerSecurityContext;

// As in a hostile image: entries named like numbers (CVE-2024-40635), lines that are not entries,
// numbers out of range, a home with control characters, duplicates.
constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "\n"
    "garbage\n"
    ":x:5:5:::\n"
    "-1:x:0:0::/root:\n"
    "2147483648:x:0:0::/root:\n"
    "4294967296:x:0:0::/root:\n"
    "99999999999999999999:x:0:0::/root:\n"
    "+7:x:0:0::/root:\n"
    "minus:x:-1:0::/:\n"
    "big:x:4294967296:0::/:\n"
    "biggid:x:8:2147483648::/:\n"
    "www-data:x:33:33:www:/var/www:/bin/sh\n"
    "www-data:x:0:0:again:/root:/bin/sh\n"
    "default:x:1000:1000::/home/default:/bin/sh\n"
    "short:x:12:13\n"
    "relative:x:14:14::home:/bin/sh\n"
    "escape:x:15:15::/home\r\x01:/bin/sh\n"
    "a:b:c:d:e:f:g:h:i\n"
    "last:x:16:16::/last:";
constexpr char kGroup[] =
    "root:x:0:\n"
    "adm:x:4:root,default\n"
    "broken\n"
    "0x5:x:nine:default\n"
    "negative:x:-5:default\n"
    "huge:x:4294967296:default\n"
    "www-data:x:33:\n"
    "extra:x:50000:default\n"
    "defaulted:x:60000:default2,xdefault\n"
    "1005:x:0:\n"
    "shared:x:1234:www-data";

absl::StatusOr<ResolvedUser> Resolve(const std::string& context, const std::string& image_user) {
  return ResolveUser(Proto<LinuxContainerSecurityContext>(context), image_user, kPasswd, kGroup);
}

struct Found {
  const char* context;
  const char* image_user;
  uint32_t uid;
  uint32_t gid;
  std::vector<uint32_t> groups;
  const char* home;
};

TEST_CASE("a user is found by number or name, with the groups it is a member of") {
  const Found cases[] = {
      // Without any user it is root, with root's groups.
      {"", "", 0, 0, {0, 4}, "/root"},
      {"supplemental_groups: [1234, 5678]", "", 0, 0, {0, 4, 1234, 5678}, "/root"},
      {"", "0", 0, 0, {0, 4}, "/root"},
      {"", "root", 0, 0, {0, 4}, "/root"},
      {"", "www-data", 33, 33, {33, 1234}, "/var/www"},
      {"", "33", 33, 33, {33, 1234}, "/var/www"},
      {"", "033", 33, 33, {33, 1234}, "/var/www"},
      {"", "www-data:1004", 33, 1004, {1004, 1234}, "/var/www"},
      {"", "www-data:adm", 33, 4, {4, 1234}, "/var/www"},
      {"", "1003:1004", 1003, 1004, {1004}, ""},
      {"", "www-data:", 33, 33, {33, 1234}, "/var/www"},
      {"", ":1004", 0, 1004, {4, 1004}, "/root"},
      {"", ":", 0, 0, {0, 4}, "/root"},
      {"", "1002", 1002, 0, {0}, ""},
      {"", "2147483647:2147483647", 2147483647, 2147483647, {2147483647}, ""},
      {"", "short", 12, 13, {13}, ""},
      {"", "last", 16, 16, {16}, "/last"},
      // A number is never a name, even where a group has it as its name.
      {"", "33:1005", 33, 1005, {1005, 1234}, "/var/www"},
      {"run_as_user { value: 1001 }", "www-data:adm", 1001, 0, {0}, ""},
      {"run_as_user { value: 1000 }", "", 1000, 1000, {4, 1000, 50000}, "/home/default"},
      {"run_as_user { value: 1001 } run_as_group { value: 1002 }", "", 1001, 1002, {1002}, ""},
      {"run_as_user { value: 0 }", "www-data", 0, 0, {0, 4}, "/root"},
      {"run_as_username: 'www-data'", "0", 33, 33, {33, 1234}, "/var/www"},
      {"run_as_username: 'www-data' run_as_group { value: 7 }", "", 33, 7, {7, 1234}, "/var/www"},
      {"run_as_user { value: 5 } run_as_username: 'www-data'", "", 5, 0, {0}, ""},
      // Supplemental groups policies, as critest checks them.
      {"supplemental_groups: 1234", "default", 1000, 1000, {4, 1000, 1234, 50000}, "/home/default"},
      {"supplemental_groups: 1234 supplemental_groups_policy: Strict",
       "default",
       1000,
       1000,
       {1000, 1234},
       "/home/default"},
      {"supplemental_groups: [9, 9, 3]  supplemental_groups_policy: Strict",
       "",
       0,
       0,
       {0, 3, 9},
       "/root"},
      // A home that is not an absolute path does not become $HOME.
      {"", "relative", 14, 14, {14}, ""},
      {"", "escape", 15, 15, {15}, ""},
  };
  for (const Found& found : cases) {
    CAPTURE(found.context, found.image_user);
    const absl::StatusOr<ResolvedUser> user = Resolve(found.context, found.image_user);
    INFO(user.status());
    REQUIRE(user.ok());
    CHECK(user->uid == found.uid);
    CHECK(user->gid == found.gid);
    CHECK(user->additional_gids == found.groups);
    CHECK(user->home == found.home);
  }
}

TEST_CASE("lines of passwd and group may end as on Windows, and without a group") {
  const char* passwd =
      "root:x:0:0:root:/root\r\n\tapp:x:1000:1001:app:/home/app\r\nweb:x:12\nalso:x:13::\n";
  const char* group = "docker:x:900:app\r\n staff:x:50\r\n";
  const auto resolve = [&](const char* image_user) {
    return ResolveUser(LinuxContainerSecurityContext(), image_user, passwd, group);
  };
  const absl::StatusOr<ResolvedUser> app = resolve("app:staff");
  REQUIRE(app.ok());
  CHECK(app->uid == 1000);
  CHECK(app->additional_gids == std::vector<uint32_t>{50, 900});
  CHECK(app->home == "/home/app");
  for (const char* name : {"web", "also"}) {
    CAPTURE(name);
    const absl::StatusOr<ResolvedUser> user = resolve(name);
    REQUIRE(user.ok());
    CHECK(user->uid == (name[0] == 'w' ? 12u : 13u));
    CHECK(user->gid == 0);
  }
}

struct Refused {
  const char* context;
  const char* image_user;
  const char* part;
};

TEST_CASE("a user that is unknown, out of range or malformed is refused by name") {
  const Refused cases[] = {
      // Numbers out of range; the file has entries with these names for uid 0.
      {"", "-1", "\"-1\""},
      {"", "+7", "\"+7\""},
      {"", "2147483648", "\"2147483648\""},
      {"", "4294967295", "\"4294967295\""},
      {"", "4294967296", "\"4294967296\""},
      {"", "99999999999999999999", "\"99999999999999999999\""},
      {"", "0:4294967296", "\"4294967296\""},
      {"", "0:-1", "\"-1\""},
      {"", "0:2147483648", "\"2147483648\""},
      // Syntax.
      {"", "root:root:root", "user of the image"},
      {"", " 0", "\" 0\""},
      {"", "0 ", "\"0 \""},
      {"", "0x0", "\"0x0\""},
      {"", "garbage", "\"garbage\""},
      // Unknown names; entries with numbers out of range do not count.
      {"", "nobody", "\"nobody\": no such user in the image's /etc/passwd"},
      {"", "minus", "\"minus\""},
      {"", "big", "\"big\""},
      {"", "biggid", "\"biggid\""},
      {"", "root:nogroup", "\"nogroup\": no such group in the image's /etc/group"},
      {"", "root:huge", "\"huge\""},
      {"run_as_username: 'nobody'", "root", "user \"nobody\""},
      {"run_as_username: '-1'", "root", "user \"-1\""},
      {"run_as_username: 'root:adm'", "root", "user"},
      {"run_as_username: 'root\\nroot'", "root", "user \"root\\nroot\""},
      // Ids of the configuration.
      {"run_as_user { value: -1 }", "", "runAsUser -1"},
      {"run_as_user { value: 2147483648 }", "", "runAsUser 2147483648"},
      {"run_as_user { value: 4294967296 }", "", "runAsUser 4294967296"},
      {"run_as_user { value: 1 } run_as_group { value: -1 }", "", "runAsGroup -1"},
      {"run_as_user { value: 1 } run_as_group { value: 4294967296 }", "", "runAsGroup"},
      {"run_as_group { value: 1002 }", "root", "runAsGroup 1002 needs runAsUser"},
      {"supplemental_groups: -1", "", "supplementalGroups[0] -1"},
      {"supplemental_groups: 4294967296", "", "supplementalGroups[0] 4294967296"},
      {"supplemental_groups_policy: 7", "", "supplementalGroupsPolicy 7"},
  };
  for (const Refused& refused : cases) {
    CAPTURE(refused.context, refused.image_user);
    CheckRefused(Resolve(refused.context, refused.image_user).status(), refused.part);
  }
}

TEST_CASE("an image without passwd and group has only numeric users") {
  const LinuxContainerSecurityContext none;
  const absl::StatusOr<ResolvedUser> root = ResolveUser(none, "", "", "");
  REQUIRE(root.ok());
  CHECK(root->uid == 0);
  CHECK(root->additional_gids == std::vector<uint32_t>{0});
  CheckRefused(ResolveUser(none, "root", "", "").status(), "\"root\"");
}

TEST_CASE("a user in more groups than the kernel allows is refused") {
  std::string group;
  for (int gid = 1; gid <= 1'000'000 && group.size() < kMaxUserFileBytes; ++gid) {
    absl::StrAppend(&group, "g:x:", gid, ":root\n");
  }
  CheckRefused(ResolveUser(LinuxContainerSecurityContext(), "", kPasswd, group).status(),
               "more than 65536 groups");
}

}  // namespace
}  // namespace crisp::spec
