#include "cni/cache.h"

#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/temporary_files.h"

namespace crisp::cni {
namespace {

// Enough for a configuration and a result of 1 MiB each, encoded.
constexpr size_t kMaxEntryBytes = 4 << 20;

std::string Suffix(absl::string_view container_id) {
  return absl::StrCat("-", container_id, "-", kPodInterface);
}

}  // namespace

Cache::Cache(absl::string_view cache_dir) : results_dir_(base::JoinPath(cache_dir, "results")) {}

absl::Status Cache::Write(const CacheEntry& entry) const {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(results_dir_, 0700));
  const std::string name = absl::StrCat(entry.network, Suffix(entry.container_id));
  return base::WriteFileAtomic(base::JoinPath(results_dir_, name), EncodeCacheEntry(entry), 0600);
}

absl::StatusOr<std::vector<Cache::Found>> Cache::Find(absl::string_view container_id) const {
  std::vector<Found> found;
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(results_dir_);
  if (absl::IsNotFound(names.status())) return found;
  if (!names.ok()) return names.status();
  const std::string suffix = Suffix(container_id);
  for (const std::string& name : *names) {
    std::string path = base::JoinPath(results_dir_, name);
    // The writer was killed before it renamed this file.
    if (absl::StrContains(name, absl::StrCat(suffix, base::kTemporaryMark)))
      CRISP_RETURN_IF_ERROR(Remove(path));
    if (!absl::EndsWith(name, suffix)) continue;
    const absl::StatusOr<std::string> text = base::ReadFile(path, kMaxEntryBytes);
    // It is not damaged: only there was no descriptor left to read it.
    if (absl::IsResourceExhausted(text.status())) return text.status();
    absl::StatusOr<CacheEntry> entry =
        text.ok() ? DecodeCacheEntry(*text) : absl::StatusOr<CacheEntry>(text.status());
    if (absl::IsNotFound(entry.status())) continue;
    found.push_back({std::move(path), std::move(entry)});
  }
  return found;
}

absl::StatusOr<std::vector<Attachment>> Cache::List() const {
  std::vector<Attachment> attachments;
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(results_dir_);
  if (absl::IsNotFound(names.status())) return attachments;
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (absl::StrContains(name, base::kTemporaryMark)) continue;
    const absl::StatusOr<std::string> text =
        base::ReadFile(base::JoinPath(results_dir_, name), kMaxEntryBytes);
    if (absl::IsNotFound(text.status())) continue;  // removed meanwhile
    if (!text.ok()) return text.status();
    absl::StatusOr<Attachment> attachment = DecodeAttachment(*text);
    if (!attachment.ok()) return base::Prefix(attachment.status(), name);
    attachments.push_back(*std::move(attachment));
  }
  return attachments;
}

absl::Status Cache::Remove(const std::string& path) const {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::Errno("unlink", path);
  return absl::OkStatus();
}

}  // namespace crisp::cni
