// What a file tree must look like, as one line of text for each fact, so that a unit test can check
// a layer's directory and a probe inside a container can check its root with the same words.
//
//   exists PATH              absent PATH             content PATH TEXT
//   link PATH TARGET         type PATH fdlpcbs       mode PATH OCTAL
//   owner PATH UID GID       device PATH MAJOR MINOR
//   xattr PATH NAME VALUE    lacks PATH NAME
//   whiteout PATH            a device 0:0 in a layer, absent where layers are merged
//   opaque PATH              marked in a layer; nothing to see where layers are merged
//   entries PATH NUMBER      only in a layer
//   rootmode . OCTAL         only in a layer: merged, the top-most layer decides
//   closed PATH              open(2) is refused; only where layers are merged
//
// Words are separated by one space. A word may have \xHH for any byte (EscapeWord). The last
// component of PATH is never followed. Only libc and std::string: the probe is static.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace crisp::test {

enum class TreeKind { kLayer, kMerged };

inline std::string EscapeWord(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = c != '\0' && strchr("/._-:,=+", c) != nullptr;
    if (plain || isalnum(static_cast<unsigned char>(c)) != 0) {
      out += c;
    } else {
      char hex[8];
      snprintf(hex, sizeof(hex), "\\x%02x", static_cast<unsigned char>(c));
      out += hex;
    }
  }
  return out;
}

inline std::string UnescapeWord(const std::string& word) {
  std::string out;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\\' && i + 3 < word.size() && word[i + 1] == 'x') {
      out += static_cast<char>(strtoul(word.substr(i + 2, 2).c_str(), nullptr, 16));
      i += 3;
    } else {
      out += word[i];
    }
  }
  return out;
}

inline std::vector<std::string> SplitWords(const std::string& line) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= line.size();) {
    const size_t end = std::min(line.find(' ', at), line.size());
    words.push_back(UnescapeWord(line.substr(at, end - at)));
    at = end + 1;
  }
  return words;
}

class FactCheck {
 public:
  // `root` without a slash at the end.
  FactCheck(const std::string& fact, const std::string& root, TreeKind kind)
      : words_(SplitWords(fact)), merged_(kind == TreeKind::kMerged), path_(root + "/" + Word(1)) {}

  // Empty when the fact holds, otherwise what is there instead.
  std::string Run() {
    const std::string& kind = words_[0];
    there_ = lstat(path_.c_str(), &info_) == 0;
    if (kind == "absent" || (kind == "whiteout" && merged_)) {
      return there_ ? "is there" : Gone();
    }
    if (kind == "closed") return merged_ ? Closed() : "";
    if (merged_ && (kind == "opaque" || kind == "entries" || kind == "rootmode")) return "";
    if (!there_) return strerror(errno);
    if (kind == "exists") return "";
    if (kind == "content") return Equal(Content(), Word(2));
    if (kind == "link") return Equal(Target(), Word(2));
    if (kind == "type") return Equal(std::string(1, Type()), Word(2));
    if (kind == "mode" || kind == "rootmode") return Equal(Octal(info_.st_mode & 07777), Word(2));
    if (kind == "owner") return Equal(Pair(info_.st_uid, info_.st_gid), Word(2) + " " + Word(3));
    if (kind == "device" || kind == "whiteout") return Device(kind == "whiteout");
    if (kind == "xattr") return Equal(Xattr(Word(2)), Word(3));
    if (kind == "lacks") return Equal(Xattr(Word(2)), "(none)");
    if (kind == "opaque") return Equal(Xattr("trusted.overlay.opaque"), "y");
    if (kind == "entries") return Equal(Entries(), Word(2));
    return "is not a fact";
  }

 private:
  std::string Word(size_t i) const { return i < words_.size() ? words_[i] : ""; }
  static std::string Equal(const std::string& is, const std::string& wanted) {
    return is == wanted ? "" : "is " + EscapeWord(is.substr(0, 200));
  }
  static std::string Octal(unsigned mode) {
    char text[16];
    snprintf(text, sizeof(text), "%o", mode);
    return text;
  }
  static std::string Pair(unsigned a, unsigned b) {
    return std::to_string(a) + " " + std::to_string(b);
  }
  // Not there because of ENOENT or ENOTDIR, and not because it cannot be looked at.
  static std::string Gone() { return errno == ENOENT || errno == ENOTDIR ? "" : strerror(errno); }
  std::string Closed() const {
    const int fd = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) close(fd);
    if (fd >= 0) return "can be opened";
    return errno == EPERM || errno == EACCES ? "" : strerror(errno);
  }
  std::string Content() const {
    const int fd = open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return strerror(errno);
    char text[4096];
    const ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    return n < 0 ? strerror(errno) : std::string(text, static_cast<size_t>(n));
  }
  std::string Target() const {
    char target[PATH_MAX];
    const ssize_t n = readlink(path_.c_str(), target, sizeof(target));
    return n < 0 ? "(no link)" : std::string(target, static_cast<size_t>(n));
  }
  char Type() const {
    switch (info_.st_mode & S_IFMT) {
      case S_IFREG:
        return 'f';
      case S_IFDIR:
        return 'd';
      case S_IFLNK:
        return 'l';
      case S_IFIFO:
        return 'p';
      case S_IFCHR:
        return 'c';
      case S_IFBLK:
        return 'b';
      default:
        return 's';
    }
  }
  std::string Device(bool whiteout) const {
    if (!S_ISCHR(info_.st_mode) && (whiteout || !S_ISBLK(info_.st_mode))) return "is not a device";
    return Equal(Pair(major(info_.st_rdev), minor(info_.st_rdev)),
                 whiteout ? "0 0" : Word(2) + " " + Word(3));
  }
  std::string Xattr(const std::string& name) const {
    std::string value(65536, '\0');
    const ssize_t n = lgetxattr(path_.c_str(), name.c_str(), value.data(), value.size());
    return n < 0 ? "(none)" : value.substr(0, static_cast<size_t>(n));
  }
  std::string Entries() const {
    DIR* list = opendir(path_.c_str());
    if (list == nullptr) return strerror(errno);
    int count = -2;  // . and ..
    while (readdir(list) != nullptr) ++count;
    closedir(list);
    return std::to_string(count);
  }

  const std::vector<std::string> words_;
  const bool merged_;
  const std::string path_;
  struct stat info_ = {};
  bool there_ = false;
};

}  // namespace crisp::test
