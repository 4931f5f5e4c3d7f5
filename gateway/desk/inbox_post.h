#pragma once

#include <functional>
#include <string>

#include "gateway/desk/order.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/random.h"

namespace tributary {

// The tool's side of the drop folder: puts files in, and waits for the daemon's answers. Not thread safe.
class InboxPost {
 public:
  InboxPost(FileSystem& files, Path folder) : files_(files), folder_(std::move(folder)) {}

  // The name under which it was put, for Await. The same receipt again has the same name.
  Result<std::string> PutReceipt(ByteView receipt);
  Result<std::string> PutOrder(const Order& order, Random& random);
  // Where a publication and its blobs are to be copied to (CopyPublication), and its name for Await.
  const Path& folder() const { return folder_; }
  static std::string PublicationName();

  // Takes the answer away. kTimeout: none within `patience`; what was put stays, and is done when the daemon can.
  InboxAnswer Await(const std::string& name, const Clock& clock, Millis patience);

 private:
  Result<std::string> Put(const std::string& name, ByteView bytes);

  FileSystem& files_;
  Path folder_;
};

}  // namespace tributary
