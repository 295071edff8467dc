// What a step that fails says: it comes from a page of fixed size.
#include "shim/report.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/printable.h"

namespace crisp::shim {
namespace {

TEST_CASE("why a start failed is not cut within a character") {
  for (size_t before = 0; before < 4; ++before) {
    const std::string path = "/" + std::string(before, 'a');
    std::string name;
    for (int i = 0; i < 500; ++i) name += "\xf0\x9f\x93\x81";  // of four bytes
    Report report;
    CHECK_FALSE(report.Fail(5, path.c_str(), name.c_str(), ": attach"));
    const std::string detail = report.detail;
    CHECK(detail.size() > sizeof(report.detail) - 5);
    // Bytes that are not UTF-8 would be written out.
    CHECK(base::Printable(detail, 2 * sizeof(report.detail)) == detail);
  }
}

TEST_CASE("a short reason is told whole") {
  Report report;
  report.Fail(5, "/data/\xc3\xbc", ": ", "attach");
  CHECK(std::string(report.detail) == "/data/\xc3\xbc: attach");
}

}  // namespace
}  // namespace crisp::shim
