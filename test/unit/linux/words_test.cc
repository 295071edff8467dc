// Names of capabilities, options of mount(8), mount points.
#include <sys/mount.h>

#include <catch2/catch.hpp>

#include "linux/capabilities.h"
#include "linux/mount_options.h"
#include "linux/mount_point.h"

namespace crisp::linux {

TEST_CASE("capabilities are parsed by their exact names") {
  CHECK(ParseCapabilities({}).value() == 0);
  CHECK(ParseCapabilities({"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN"}).value() ==
        ((uint64_t{1} << 40) | 1));
  CHECK(ParseCapabilities({"CAP_SYS_ADMIN"}).value() == uint64_t{1} << 21);
  for (const char* bad : {"CHOWN", "cap_chown", "CAP_", "", "CAP_CHOWN ", "ALL"}) {
    CHECK(ParseCapabilities({"CAP_KILL", bad}).status().message() ==
          std::string("capability \"") + bad + "\" does not exist");
  }
  CHECK(CapabilityNames(uint64_t{1} << 63 | 1) == std::vector<std::string>{"CAP_CHOWN", "CAP_63"});
  // A privileged container has all, those of a newer kernel too.
  CHECK(ParseCapabilities(CapabilityNames(~uint64_t{0})).value() == ~uint64_t{0});
}

TEST_CASE("a mount point is read as the kernel writes it, spaces and backslashes in octal") {
  CHECK(DecodeMountPoint("/plain") == "/plain");
  CHECK(DecodeMountPoint("/with\\040space\\011tab\\012line\\134040") ==
        "/with space\ttab\nline\\040");
  CHECK(DecodeMountPoint("/not\\08\\04") == "/not\\08\\04");
}

TEST_CASE("mount options become flags, propagation and file system data") {
  const MountOptions bind =
      ParseMountOptions({"rbind", "rro", "nosuid", "noexec", "rslave", "ridmap"});
  CHECK(bind.bind);
  CHECK(bind.recursive);
  CHECK(bind.top.set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  CHECK(bind.tree.set == MOUNT_ATTR_RDONLY);
  CHECK(bind.propagation == MS_SLAVE);
  CHECK(bind.propagation_recursive);
  CHECK((bind.idmap && bind.idmap_recursive));

  const MountOptions fs = ParseMountOptions(
      {"defaults", "nodev", "strictatime", "mode=755", "newinstance", "x=a=b", ""});
  CHECK_FALSE(fs.bind);
  CHECK(fs.top.set == (MOUNT_ATTR_NODEV | MOUNT_ATTR_STRICTATIME));
  CHECK(fs.top.clear == MOUNT_ATTR__ATIME);
  CHECK(fs.data == std::vector<std::pair<std::string, std::string>>{
                       {"mode", "755"}, {"newinstance", ""}, {"x", "a=b"}});
}

TEST_CASE("of two contradicting mount options the later one wins") {
  CHECK(ParseMountOptions({"ro", "rw"}).top.set == 0);
  CHECK(ParseMountOptions({"ro", "rw"}).top.clear == MOUNT_ATTR_RDONLY);
  CHECK(ParseMountOptions({"rw", "ro"}).top.set == MOUNT_ATTR_RDONLY);
  CHECK(ParseMountOptions({"rw", "ro"}).top.clear == 0);
  CHECK(ParseMountOptions({"noatime", "relatime"}).top.set == 0);
  CHECK(ParseMountOptions({"shared", "private"}).propagation == MS_PRIVATE);
  CHECK_FALSE(ParseMountOptions({"rshared", "private"}).propagation_recursive);
  CHECK(AttributeWords(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME) ==
        "ro,noexec,noatime");
}

}  // namespace crisp::linux
