#include <catch2/catch.hpp>

#include "base/errno.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"

using namespace crisp;

TEST_CASE("Errno names operation, subject and errno and maps the code") {
  const absl::Status status = base::Errno("mount", "/proc", EPERM);
  CHECK(status.code() == absl::StatusCode::kPermissionDenied);
  CHECK(status.message() == "mount /proc: EPERM");
  CHECK(base::Prefix(status, "start container 4f").message() ==
        "start container 4f: mount /proc: EPERM");
  CHECK(base::Prefix(absl::OkStatus(), "x").ok());
}

TEST_CASE("ids are 64 hexadecimal characters and differ") {
  CHECK(base::IsId(base::NewId()));
  CHECK(base::NewId() != base::NewId());
  CHECK_FALSE(base::IsId("ABC"));
  CHECK_FALSE(base::IsId(std::string(64, 'G')));
}

TEST_CASE("a fraction that fits no integer is no number, others are cut, strangers do no harm") {
  const auto decode = [](const base::Json& json) { return json.at("n").get<int>(); };
  for (const char* bad :
       {R"({"n":1e46})", R"({"n":11111111111111111111111})", R"({"n":-1.5})", R"({"n":65535.5})"}) {
    CHECK(absl::IsInvalidArgument(base::DecodeJson("doc", bad, decode).status()));
  }
  CHECK(*base::DecodeJson("doc", R"({"n":2.5,"m":[1e46,{"o":-0.1}]})", decode) == 2);
}

TEST_CASE("DecodeJson turns every parser exception into InvalidArgument") {
  auto decode = [](const base::Json& json) { return json.at("n").get<int>(); };
  CHECK(*base::DecodeJson("doc", R"({"n":3})", decode) == 3);
  for (const char* bad : {"", "{", R"({"n":"x"})", "{}", "[1,2]", "\xff"}) {
    const auto result = base::DecodeJson("doc", bad, decode);
    CHECK(result.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(result.status().message().substr(0, 5) == "doc: ");
    CHECK(result.status().message().find("exception") == absl::string_view::npos);
  }
  const std::string deep = std::string(200, '[') + std::string(200, ']');
  CHECK(std::string(base::DecodeJson("doc", deep, decode).status().message()).find("nested") !=
        std::string::npos);
}

TEST_CASE("log levels by name") {
  CHECK(base::ParseLogLevel("warn").value() == base::LogLevel::kWarning);
  CHECK_FALSE(base::ParseLogLevel("loud").ok());
}
