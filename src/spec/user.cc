#include "spec/user.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr size_t kMaxGroups = 65536;  // setgroups(2)

// Digits with or without a sign are a number and never looked up as a name (CVE-2026-46680).
bool LooksNumeric(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

std::optional<uint32_t> ParseId(absl::string_view text) {
  uint32_t id = 0;
  // SimpleAtoi takes surrounding spaces and a sign; an id has neither.
  const bool digits = LooksNumeric(text) && text[0] != '-' && text[0] != '+';
  if (!digits || !absl::SimpleAtoi(text, &id)) return std::nullopt;
  if (id > static_cast<uint32_t>(std::numeric_limits<int32_t>::max())) return std::nullopt;
  return id;
}

struct PasswdEntry {
  absl::string_view name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  absl::string_view home;
};

// The fields of a line, without the spaces around it that other runtimes ignore: files that were
// written on Windows have a carriage return before each newline.
std::vector<absl::string_view> FieldsOf(absl::string_view line, int colons) {
  return absl::StrSplit(absl::StripAsciiWhitespace(line), absl::MaxSplits(':', colons));
}

// passwd(5). Lines that are not entries are skipped, as libc does. One that ends before the group,
// or leaves it empty, has group 0, as a user without an entry has.
template <typename Match>
std::optional<PasswdEntry> FindUser(absl::string_view passwd, Match match) {
  for (const absl::string_view line : absl::StrSplit(passwd, '\n')) {
    const std::vector<absl::string_view> fields = FieldsOf(line, 7);
    if (fields.size() < 3 || fields[0].empty()) continue;
    const bool has_group = fields.size() > 3 && !fields[3].empty();
    const std::optional<uint32_t> uid = ParseId(fields[2]);
    const std::optional<uint32_t> gid = has_group ? ParseId(fields[3]) : 0;
    if (!uid.has_value() || !gid.has_value()) continue;
    PasswdEntry entry = {.name = fields[0], .uid = *uid, .gid = *gid, .home = ""};
    if (fields.size() > 5) entry.home = fields[5];
    if (match(entry)) return entry;
  }
  return std::nullopt;
}

struct GroupEntry {
  absl::string_view name;
  uint32_t gid = 0;
  absl::string_view members;
};

// group(5); `visit` returns false to stop.
template <typename Visit>
void VisitGroups(absl::string_view group, Visit visit) {
  for (const absl::string_view line : absl::StrSplit(group, '\n')) {
    const std::vector<absl::string_view> fields = FieldsOf(line, 3);
    if (fields.size() < 3 || fields[0].empty()) continue;
    const std::optional<uint32_t> gid = ParseId(fields[2]);
    if (!gid.has_value()) continue;
    const absl::string_view members = fields.size() > 3 ? fields[3] : absl::string_view();
    if (!visit(GroupEntry{fields[0], *gid, members})) return;
  }
}

bool HasMember(absl::string_view members, absl::string_view name) {
  for (const absl::string_view member : absl::StrSplit(members, ',')) {
    if (member == name) return true;
  }
  return false;
}

// `word` is a number or a name in `passwd`.
absl::StatusOr<PasswdEntry> LookUpUser(absl::string_view field, absl::string_view word,
                                       absl::string_view passwd) {
  if (LooksNumeric(word)) {
    const std::optional<uint32_t> uid = ParseId(word);
    if (!uid.has_value()) return Invalid(field, word, "must be between 0 and 2147483647");
    const std::optional<PasswdEntry> entry =
        FindUser(passwd, [&](const PasswdEntry& other) { return other.uid == *uid; });
    return entry.value_or(PasswdEntry{.name = "", .uid = *uid, .gid = 0, .home = ""});
  }
  const std::optional<PasswdEntry> entry =
      FindUser(passwd, [&](const PasswdEntry& other) { return other.name == word; });
  if (!entry.has_value()) return Invalid(field, word, "no such user in the image's /etc/passwd");
  return *entry;
}

absl::StatusOr<uint32_t> LookUpGroup(absl::string_view word, absl::string_view group) {
  constexpr char kField[] = "group of the image's user";
  std::optional<uint32_t> gid = ParseId(word);
  if (gid.has_value()) return *gid;
  if (LooksNumeric(word)) return Invalid(kField, word, "must be between 0 and 2147483647");
  VisitGroups(group, [&](const GroupEntry& entry) {
    if (entry.name == word) gid = entry.gid;
    return !gid.has_value();
  });
  if (!gid.has_value()) return Invalid(kField, word, "no such group in the image's /etc/group");
  return *gid;
}

// User and primary group without run_as_group.
absl::StatusOr<PasswdEntry> PrimaryUser(const v1::LinuxContainerSecurityContext& context,
                                        absl::string_view image_user, absl::string_view passwd,
                                        absl::string_view group) {
  if (context.has_run_as_user()) {
    CRISP_RETURN_IF_ERROR(CheckId("runAsUser", context.run_as_user().value()));
    return LookUpUser("runAsUser", absl::StrCat(context.run_as_user().value()), passwd);
  }
  if (!context.run_as_username().empty()) {
    constexpr size_t kMaxName = 256;
    CRISP_RETURN_IF_ERROR(CheckText("user", context.run_as_username(), kMaxName));
    return LookUpUser("user", context.run_as_username(), passwd);
  }
  if (context.has_run_as_group()) {
    return GroupNeedsUser(context.run_as_group().value());
  }
  constexpr char kField[] = "user of the image";
  const std::vector<absl::string_view> parts = absl::StrSplit(image_user, ':');
  if (parts.size() > 2) return Invalid(kField, image_user, "must be user or user:group");
  // As in Docker, an empty user is root and an empty group the user's own.
  CRISP_ASSIGN_OR_RETURN(PasswdEntry user,
                         LookUpUser(kField, parts[0].empty() ? "0" : parts[0], passwd));
  if (parts.size() == 2 && !parts[1].empty()) {
    CRISP_ASSIGN_OR_RETURN(user.gid, LookUpGroup(parts[1], group));
  }
  return user;
}

}  // namespace

absl::StatusOr<ResolvedUser> ResolveUser(const v1::LinuxContainerSecurityContext& context,
                                         absl::string_view image_user, absl::string_view passwd,
                                         absl::string_view group) {
  CRISP_ASSIGN_OR_RETURN(const PasswdEntry user, PrimaryUser(context, image_user, passwd, group));
  ResolvedUser result;
  result.uid = user.uid;
  result.gid = user.gid;
  if (context.has_run_as_group()) {
    CRISP_RETURN_IF_ERROR(CheckId("runAsGroup", context.run_as_group().value()));
    result.gid = static_cast<uint32_t>(context.run_as_group().value());
  }
  // The supplementary groups include the primary one: otherwise a process could drop it with
  // setgid(2) and gain access where its group is denied (CVE-2023-25173).
  std::set<uint32_t> groups = {result.gid};
  for (int i = 0; i < context.supplemental_groups_size(); ++i) {
    const int64_t gid = context.supplemental_groups(i);
    CRISP_RETURN_IF_ERROR(CheckId(absl::StrCat("supplementalGroups[", i, "]"), gid));
    groups.insert(static_cast<uint32_t>(gid));
  }
  switch (context.supplemental_groups_policy()) {
    case v1::Strict:
      break;
    case v1::Merge:
      if (user.name.empty()) break;
      VisitGroups(group, [&](const GroupEntry& entry) {
        if (HasMember(entry.members, user.name)) groups.insert(entry.gid);
        return groups.size() <= kMaxGroups;
      });
      break;
    default:
      return Invalid("supplementalGroupsPolicy", context.supplemental_groups_policy(),
                     "is not a supplemental groups policy");
  }
  if (groups.size() > kMaxGroups) {
    return Invalid("user", user.name, absl::StrCat("is in more than ", kMaxGroups, " groups"));
  }
  result.additional_gids.assign(groups.begin(), groups.end());
  // It becomes $HOME, and an image can have any text there.
  if (!user.home.empty() && user.home[0] == '/' && CheckText("home", user.home, 4095).ok()) {
    result.home = std::string(user.home);
  }
  return result;
}

}  // namespace crisp::spec
