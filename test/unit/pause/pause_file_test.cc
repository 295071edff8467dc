// The format of the pause programs: elf(5).
#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace {

void CheckFile(const std::string& path, Elf64_Half machine) {
  INFO(path);
  std::ifstream stream(path, std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(stream), {}};
  CHECK(file.size() < 1000);

  Elf64_Ehdr header;
  REQUIRE(file.size() > sizeof header);
  std::memcpy(&header, file.data(), sizeof header);
  CHECK(header.e_machine == machine);
  CHECK(header.e_type == ET_EXEC);
  bool has_stack = false;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    REQUIRE(header.e_phoff + (i + 1) * sizeof segment <= file.size());
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    CHECK(segment.p_type != PT_INTERP);
    CHECK(segment.p_type != PT_DYNAMIC);
    CHECK((segment.p_flags & (PF_W | PF_X)) != (PF_W | PF_X));
    if (segment.p_type == PT_LOAD) CHECK((segment.p_flags & PF_W) == 0);
    has_stack |= segment.p_type == PT_GNU_STACK;
  }
  CHECK(has_stack);  // without that header the kernel makes the stack executable
}

#ifdef CRISP_PAUSE_AARCH64
TEST_CASE("pause for aarch64 is one small static segment") {
  CheckFile(CRISP_PAUSE_AARCH64, EM_AARCH64);
}
#endif

TEST_CASE("pause is one small static segment") {
#if defined(__x86_64__)
  CheckFile(CRISP_PAUSE, EM_X86_64);
#else
  CheckFile(CRISP_PAUSE, EM_AARCH64);
#endif
#if defined(__x86_64__) && !defined(CRISP_PAUSE_AARCH64)
  WARN("pause for aarch64 skipped: aarch64-linux-gnu-as and -ld are not installed");
#endif
}

}  // namespace
