#include "snapshot/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr size_t kMaxHeaderBytes = 1 << 20;
// libarchive's ARCHIVE_ERRNO_FILE_FORMAT, which its public headers lack.
constexpr int kCharsetWarning = EILSEQ;

const char* OrEmpty(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

TarReader::TarReader(ChunkReader& chunks) : chunks_(chunks), archive_(archive_read_new()) {
  archive_read_support_format_tar(archive_);
  archive_read_support_format_empty(archive_);
  archive_read_open(archive_, this, nullptr, &TarReader::ReadChunk, nullptr);
}

TarReader::~TarReader() { archive_read_free(archive_); }

ssize_t TarReader::ReadChunk(archive* reader, void* self, const void** buffer) {
  TarReader& tar = *static_cast<TarReader*>(self);
  if (tar.in_header_ && tar.header_bytes_ > kMaxHeaderBytes) {
    tar.read_status_ = absl::ResourceExhaustedError(absl::StrCat(
        "tar: a header with its extensions is larger than ", kMaxHeaderBytes, " bytes"));
    archive_set_error(reader, ENOBUFS, "header too large");
    return ARCHIVE_FATAL;
  }
  const absl::StatusOr<absl::Span<const char>> chunk = tar.chunks_.Next();
  if (!chunk.ok()) {
    tar.read_status_ = chunk.status();
    archive_set_error(reader, ECANCELED, "abandoned");
    return ARCHIVE_FATAL;
  }
  tar.header_bytes_ += chunk->size();
  *buffer = chunk->data();
  return static_cast<ssize_t>(chunk->size());
}

absl::Status TarReader::Failure(const char* step) {
  if (!read_status_.ok()) return read_status_;
  const std::string message =
      absl::StrCat("tar: ", step, ": ", OrEmpty(archive_error_string(archive_)));
  if (archive_errno(archive_) == ENOMEM) return absl::ResourceExhaustedError(message);
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<bool> TarReader::Next(TarEntry& entry) {
  // Skipped first, so that the file's bytes do not count as header bytes.
  if (archive_file_count(archive_) > 0 && archive_read_data_skip(archive_) < ARCHIVE_WARN) {
    return Failure("skip");
  }
  archive_entry* next = nullptr;
  in_header_ = true;
  header_bytes_ = 0;
  const int result = archive_read_next_header(archive_, &next);
  in_header_ = false;
  if (result == ARCHIVE_EOF) return false;
  // A warning may mean that attributes were dropped, so it is an error, except the warning that the
  // C locale cannot convert a name: the name's bytes are unchanged then.
  const bool only_charset = result == ARCHIVE_WARN && archive_errno(archive_) == kCharsetWarning;
  if (result != ARCHIVE_OK && !only_charset) return Failure("header");
  CRISP_RETURN_IF_ERROR(Convert(next, entry));
  return true;
}

absl::Status TarReader::Convert(archive_entry* from, TarEntry& entry) {
  entry = TarEntry();
  entry.name = OrEmpty(archive_entry_pathname(from));
  entry.mode = archive_entry_perm(from) & 07777;
  entry.uid = archive_entry_uid(from);
  entry.gid = archive_entry_gid(from);
  entry.size = archive_entry_size(from);
  entry.mtime = {archive_entry_mtime(from), archive_entry_mtime_nsec(from)};
  entry.major = archive_entry_rdevmajor(from);
  entry.minor = archive_entry_rdevminor(from);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    entry.xattrs.push_back({OrEmpty(name), std::string(static_cast<const char*>(value), size)});
  }
  if (const char* target = archive_entry_hardlink(from); target != nullptr) {
    entry.type = TarEntry::Type::kHardLink;
    entry.link = target;
    return absl::OkStatus();
  }
  switch (archive_entry_filetype(from)) {
    case AE_IFREG:
      entry.type = TarEntry::Type::kFile;
      break;
    case AE_IFDIR:
      entry.type = TarEntry::Type::kDirectory;
      break;
    case AE_IFIFO:
      entry.type = TarEntry::Type::kFifo;
      break;
    case AE_IFCHR:
      entry.type = TarEntry::Type::kCharDevice;
      break;
    case AE_IFBLK:
      entry.type = TarEntry::Type::kBlockDevice;
      break;
    case AE_IFLNK:
      entry.type = TarEntry::Type::kSymlink;
      entry.link = OrEmpty(archive_entry_symlink(from));
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("tar: ", entry.name, ": file type is not supported"));
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Span<const char>> TarReader::NextBlock(int64_t& offset) {
  const void* data = nullptr;
  size_t size = 0;
  const int result = archive_read_data_block(archive_, &data, &size, &offset);
  if (result == ARCHIVE_EOF) return absl::Span<const char>();
  if (result != ARCHIVE_OK) return Failure("contents");
  return absl::Span<const char>(static_cast<const char*>(data), size);
}

}  // namespace crisp::snapshot
