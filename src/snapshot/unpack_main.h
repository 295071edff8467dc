// The program crisp-unpack, which crispd starts for each layer twice: `crisp-unpack decode` and
// `crisp-unpack untar <bytes> <inodes>`, the space that must stay free. Their descriptors:
//
//        decode                            untar
//   0    socket, compressed bytes          socket, plain bytes
//   1    their memory                      their memory
//   2    nothing                           nothing
//   3    the empty mount namespace         the empty mount namespace
//   4    socket, plain bytes               the layer's directory, a mount that is attached nowhere
//   5    their memory
#pragma once

namespace crisp::snapshot {

constexpr int kInputSocket = 0;
constexpr int kInputMemory = 1;
constexpr int kMountNamespace = 3;
constexpr int kOutputSocket = 4;
constexpr int kOutputMemory = 5;
constexpr int kLayerDirectory = 4;

// The exit codes besides 0.
constexpr int kUsage = 2;
constexpr int kNoMemory = 3;

int UnpackMain(int argc, char** argv);

}  // namespace crisp::snapshot
