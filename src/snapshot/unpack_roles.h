// What the two processes do that unpack a layer. They parse what a registry sends, so they are not
// part of crispd (unpack_isolation.h says what they may do):
//
//   crispd: Write --compressed--> decoder --plain--> crispd: copy, hash --plain--> untarrer --> fs/
//
// The decoder decompresses. crispd hashes what comes out, because the digest decides under which
// chain id the layer is published, and passes on exactly what it has hashed. The untarrer writes
// the files. Neither can make crispd believe that a layer is another one.
#pragma once

#include "absl/status/status.h"
#include "snapshot/chunk_channel.h"
#include "snapshot/frame_socket.h"
#include "snapshot/unpack_limits.h"

namespace crisp::snapshot {

// Chooses the compression by the first bytes (decoder.h). Returns after the last byte is passed on.
absl::Status DecodeLayer(ChunkReader& compressed, ChunkWriter& plain);

// Unpacks the tar below `root_fd` (borrowed), asks crispd for the lower layers if the tar refers to
// them, and to mark the directories that are opaque. OK when the layer is complete. Changes the
// umask and the working directory of the thread, which must have both to itself.
absl::Status UntarLayer(const FrameSocket& crispd, const ChunkMemory& plain, int root_fd,
                        const UnpackLimits& limits);

// Sends the result to crispd and waits until crispd has closed the connection, so that nothing that
// was sent is lost.
void Conclude(const FrameSocket& crispd, const absl::Status& result);

}  // namespace crisp::snapshot
