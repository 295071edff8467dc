// One volume of a manifest.
#include <algorithm>

#include "absl/strings/str_split.h"
#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

constexpr int64_t kMaxMode = 0777;
constexpr const char* kSources[] = {"hostPath", "emptyDir",    "configMap", "secret",
                                    "image",    "downwardAPI", "projected"};

void DecodeItems(Fields& fields, std::vector<KeyToPath>& items) {
  fields.List("items", [&](Fields& item) {
    KeyToPath& out = items.emplace_back();
    if (item.Require("key")) item.Text("key", out.key);
    if (item.Require("path")) {
      item.Text("path", out.path);
      CheckFilePath(item, "path", out.path);
    }
    item.Int("mode", out.mode, 0, kMaxMode);
  });
}

// Secrets have another name for the name, unless they are projected.
ObjectFiles DecodeObjectFiles(Fields& fields, absl::string_view name_field) {
  ObjectFiles files;
  files.ref.place = fields.PlaceOf("");
  if (fields.Require(name_field)) fields.Text(name_field, files.ref.name);
  fields.Bool("optional", files.ref.optional);
  DecodeItems(fields, files.items);
  return files;
}

std::vector<DownwardFile> DecodeDownward(Fields& fields) {
  std::vector<DownwardFile> files;
  fields.List("items", [&](Fields& item) {
    DownwardFile& file = files.emplace_back();
    if (item.Require("path")) {
      item.Text("path", file.path);
      CheckFilePath(item, "path", file.path);
    }
    item.Int("mode", file.mode, 0, kMaxMode);
    if (item.Has("fieldRef") == item.Has("resourceFieldRef"))
      item.Add("", "must have exactly one of fieldRef, resourceFieldRef");
    item.Object("fieldRef", [&](Fields& ref) { DecodeFieldRef(ref, true, file.field_ref); });
    item.Object("resourceFieldRef",
                [&](Fields& ref) { DecodeResourceFieldRef(ref, true, file.resource_field_ref); });
  });
  return files;
}

void DecodeProjected(Fields& fields, Volume& volume) {
  fields.Int("defaultMode", volume.default_mode, 0, kMaxMode);
  fields.List("sources", [&](Fields& item) {
    FilesSource& source = volume.files.emplace_back();
    const int kinds =
        item.Has("configMap") + item.Has("secret") + (item.Has("downwardAPI") ? 1 : 0);
    if (kinds != 1) item.Add("", "must have exactly one of configMap, secret, downwardAPI");
    item.Object("configMap",
                [&](Fields& object) { source.config_map = DecodeObjectFiles(object, "name"); });
    item.Object("secret",
                [&](Fields& object) { source.secret = DecodeObjectFiles(object, "name"); });
    item.Object("downwardAPI",
                [&](Fields& object) { source.downward_api = DecodeDownward(object); });
  });
}

void DecodeHostPath(Fields& fields, HostPath& path) {
  if (fields.Require("path")) fields.Text("path", path.path);
  if (path.path.empty() || path.path[0] != '/') fields.Add("path", "must be an absolute path");
  const std::vector<absl::string_view> parts = absl::StrSplit(path.path, '/');
  if (std::find(parts.begin(), parts.end(), "..") != parts.end())
    fields.Add("path", "must not contain \"..\"");
  fields.Choice("type", path.type,
                {{"", HostPathType::kUnset},
                 {"DirectoryOrCreate", HostPathType::kDirectoryOrCreate},
                 {"Directory", HostPathType::kDirectory},
                 {"FileOrCreate", HostPathType::kFileOrCreate},
                 {"File", HostPathType::kFile},
                 {"Socket", HostPathType::kSocket},
                 {"CharDevice", HostPathType::kCharDevice},
                 {"BlockDevice", HostPathType::kBlockDevice}});
}

void DecodeEmptyDir(Fields& fields, EmptyDir& empty) {
  fields.Choice("medium", empty.in_memory, {{"", false}, {"Memory", true}});
  if (!fields.Has("sizeLimit")) {
    Quantity unused;
    return fields.Amount("sizeLimit", unused);
  }
  fields.Amount("sizeLimit", empty.size_limit.emplace());
  // kubelet evicts a pod whose directory on disk grows too large; nothing here measures it.
  if (!empty.in_memory) fields.Add("sizeLimit", "is only for medium Memory");
}

}  // namespace

void DecodeVolume(Fields& fields, Volume& volume) {
  volume.place = fields.PlaceOf("name");
  if (fields.Require("name")) {
    fields.Text("name", volume.name);
    CheckDnsLabel(fields, "name", volume.name);
  }
  int sources = 0;
  for (const char* source : kSources) sources += fields.Has(source) ? 1 : 0;
  volume.is_files = fields.Has("configMap") || fields.Has("secret") || fields.Has("downwardAPI") ||
                    fields.Has("projected");
  if (sources > 1)
    fields.Add("",
               "must have only one of hostPath, emptyDir, configMap, secret, image, downwardAPI, "
               "projected");
  fields.Object("hostPath", [&](Fields& o) { DecodeHostPath(o, volume.host_path.emplace()); });
  // What the API server makes of a volume of which nothing is said.
  if (sources == 0) volume.empty_dir.emplace();
  fields.Object("emptyDir", [&](Fields& o) { DecodeEmptyDir(o, volume.empty_dir.emplace()); });
  fields.Object("image", [&](Fields& image) {
    ImageVolume& out = volume.image.emplace();
    if (image.Require("reference")) image.Text("reference", out.reference);
    DecodePullPolicy(image, "pullPolicy", out.pull_policy);
  });
  fields.Object("configMap", [&](Fields& object) {
    object.Int("defaultMode", volume.default_mode, 0, kMaxMode);
    volume.files.emplace_back().config_map = DecodeObjectFiles(object, "name");
  });
  fields.Object("secret", [&](Fields& object) {
    object.Int("defaultMode", volume.default_mode, 0, kMaxMode);
    volume.files.emplace_back().secret = DecodeObjectFiles(object, "secretName");
  });
  fields.Object("downwardAPI", [&](Fields& object) {
    object.Int("defaultMode", volume.default_mode, 0, kMaxMode);
    volume.files.emplace_back().downward_api = DecodeDownward(object);
  });
  fields.Object("projected", [&](Fields& object) { DecodeProjected(object, volume); });
}

}  // namespace crisp::cli
