// The CRI contract must not change by accident: the descriptor, printed as a table, must equal the
// published one.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "runtime/v1/api.pb.h"

namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using Table = std::vector<std::string>;

std::string Relative(const std::string& full_name) {
  return std::string(absl::StripPrefix(full_name, "runtime.v1."));
}

std::string TypeOf(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) return Relative(field.message_type()->full_name());
  if (field.enum_type() != nullptr) return Relative(field.enum_type()->full_name());
  return field.type_name();
}

void AppendEnum(const EnumDescriptor& type, Table& table) {
  const std::string name = Relative(type.full_name());
  for (int i = 0; i < type.value_count(); ++i) {
    table.push_back(
        absl::StrCat("enum ", name, ".", type.value(i)->name(), " ", type.value(i)->number()));
  }
}

void AppendMessage(const Descriptor& type, Table& table) {
  const std::string name = Relative(type.full_name());
  table.push_back(absl::StrCat("message ", name));
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    table.push_back(absl::StrCat("field ", name, ".", field.name(), " ", field.number(), " ",
                                 field.is_repeated() ? "repeated" : "optional", " ", TypeOf(field),
                                 " ", field.json_name(),
                                 field.options().deprecated() ? " deprecated" : ""));
  }
  for (int i = 0; i < type.enum_type_count(); ++i) AppendEnum(*type.enum_type(i), table);
  for (int i = 0; i < type.nested_type_count(); ++i) AppendMessage(*type.nested_type(i), table);
}

void AppendService(const ServiceDescriptor& service, Table& table) {
  for (int i = 0; i < service.method_count(); ++i) {
    const MethodDescriptor& method = *service.method(i);
    REQUIRE_FALSE(method.client_streaming());
    table.push_back(absl::StrCat("rpc ", service.name(), ".", method.name(), " ",
                                 Relative(method.input_type()->full_name()), " ",
                                 Relative(method.output_type()->full_name()), " ",
                                 method.server_streaming() ? "stream" : "unary"));
  }
}

Table Ours() {
  const FileDescriptor& file = *::runtime::v1::VersionRequest::descriptor()->file();
  Table table;
  for (int i = 0; i < file.message_type_count(); ++i) AppendMessage(*file.message_type(i), table);
  for (int i = 0; i < file.enum_type_count(); ++i) AppendEnum(*file.enum_type(i), table);
  for (int i = 0; i < file.service_count(); ++i) AppendService(*file.service(i), table);
  std::sort(table.begin(), table.end());
  return table;
}

Table Published() {
  std::ifstream file(CRISP_PUBLISHED_CRI);
  REQUIRE(file.is_open());
  Table table;
  for (std::string line; std::getline(file, line);) table.push_back(line);
  std::sort(table.begin(), table.end());
  return table;
}

Table OnlyIn(const Table& left, const Table& right) {
  Table difference;
  std::set_difference(left.begin(), left.end(), right.begin(), right.end(),
                      std::back_inserter(difference));
  return difference;
}

TEST_CASE("the CRI descriptor equals cri-api v0.38.0-beta.0") {
  const Table ours = Ours();
  const Table published = Published();
  // 46 calls: the test must fail if a regeneration truncated the table.
  REQUIRE(std::count_if(published.begin(), published.end(), [](const std::string& line) {
            return absl::StartsWith(line, "rpc ");
          }) == 46);
  // Compared as text so that a failure prints the lines that differ and nothing else.
  CHECK(absl::StrJoin(OnlyIn(ours, published), "\n") == "");
  CHECK(absl::StrJoin(OnlyIn(published, ours), "\n") == "");
}

TEST_CASE("bytes encoded by the published field numbers decode to the same fields here") {
  // Mount{container_path "/a" = 1, readonly true = 3, recursive_read_only true = 8}
  ::runtime::v1::Mount mount;
  REQUIRE(mount.ParseFromString(std::string("\x0a\x02/a\x18\x01\x40\x01")));
  CHECK(mount.container_path() == "/a");
  CHECK(mount.readonly());
  CHECK(mount.recursive_read_only());
  // ContainerConfig{stop_signal 18 = SIGTERM 23}
  ::runtime::v1::ContainerConfig config;
  REQUIRE(config.ParseFromString(std::string("\x90\x01\x17")));
  CHECK(config.stop_signal() == ::runtime::v1::SIGNAL_SIGTERM);
}

}  // namespace
