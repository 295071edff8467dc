#include "rpc/status_codes.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"

namespace crisp::rpc {
namespace {

std::string OnTheWire(const std::string& message) {
  return ToWire(absl::InternalError(message)).message;
}

TEST_CASE("codes go over as they are") {
  CHECK(ToWire(absl::OkStatus()).code == 0);
  CHECK(ToWire(absl::OkStatus()).message.empty());
  // grpc/status.h has the same numbers; written out, so that the table is what is tested.
  const std::pair<absl::StatusCode, int> kTable[] = {
      {absl::StatusCode::kCancelled, 1},          {absl::StatusCode::kUnknown, 2},
      {absl::StatusCode::kInvalidArgument, 3},    {absl::StatusCode::kDeadlineExceeded, 4},
      {absl::StatusCode::kNotFound, 5},           {absl::StatusCode::kAlreadyExists, 6},
      {absl::StatusCode::kPermissionDenied, 7},   {absl::StatusCode::kResourceExhausted, 8},
      {absl::StatusCode::kFailedPrecondition, 9}, {absl::StatusCode::kAborted, 10},
      {absl::StatusCode::kOutOfRange, 11},        {absl::StatusCode::kUnimplemented, 12},
      {absl::StatusCode::kInternal, 13},          {absl::StatusCode::kUnavailable, 14},
      {absl::StatusCode::kDataLoss, 15},          {absl::StatusCode::kUnauthenticated, 16}};
  for (const auto& [code, number] : kTable) {
    const WireStatus wire = ToWire(absl::Status(code, "why"));
    CHECK(wire.code == number);
    CHECK(wire.message == "why");
  }
}

TEST_CASE("kubelet finds a registry that is down by its prefix, and only with Unknown") {
  CHECK(ToWire(absl::UnavailableError("RegistryUnavailable: no route")).code == 2);
  CHECK(ToWire(absl::UnavailableError("pull: RegistryUnavailable: x")).code == 14);
}

TEST_CASE("a message is valid UTF-8 on one line, whatever a name in it holds") {
  CHECK(OnTheWire("/data/\xc3\xbc/\xe2\x82\xac/\xf0\x9f\x90\xb3") ==
        "/data/\xc3\xbc/\xe2\x82\xac/\xf0\x9f\x90\xb3");
  CHECK(OnTheWire(std::string("a\nb\tc\0d\x7f", 8)) == "a\\nb\\tc\\x00d\\x7f");
  for (const char* bad : {"\xff", "\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    const std::string wire = OnTheWire(absl::StrCat("<", bad, ">"));
    INFO(wire);
    std::string shown;
    for (const char* byte = bad; *byte != '\0'; ++byte) {
      absl::StrAppend(&shown, "\\x", absl::Hex(static_cast<unsigned char>(*byte)));
    }
    CHECK(wire == absl::StrCat("<", shown, ">"));
  }
  CHECK(OnTheWire("cut \xe2\x82") == "cut \\xe2\\x82");
  CHECK(OnTheWire("cut \xe2\x82x") == "cut \\xe2\\x82x");
}

TEST_CASE("a long message is cut at a character") {
  CHECK(OnTheWire(std::string(10000, 'x')) == std::string(kMaxMessageBytes, 'x'));
  std::string euros;
  while (euros.size() < 10000) euros += "\xe2\x82\xac";
  const std::string wire = OnTheWire(euros);
  CHECK(wire.size() <= kMaxMessageBytes);
  CHECK(wire.size() > kMaxMessageBytes - 3);
  CHECK(wire == euros.substr(0, wire.size()));
}

}  // namespace
}  // namespace crisp::rpc
