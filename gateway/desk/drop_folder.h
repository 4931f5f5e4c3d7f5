#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"

// The files of a gateway's drop folder, data_dir/inbox/: how a tool on the same machine hands something to the daemon
// that holds the data folder, also while none runs. Each file appears whole (written beside and renamed); the daemon
// looks once a second, does what it says, writes an answer beside it, and removes it.
//
//   <name>.receipt                      a receipt (protocol/bundle/receipt.h)
//   publication.bin, blobs/<digest>     a publication whose blobs are all there or with this gateway already
//   <name>.order                        order := verb ' ' target '\n'
//                                       verb := "requeue" | "purge" | "drop-partial"
//                                       target := upload id, 32 hex digits; of drop-partial a device's id
//                                               | "all" (purge, drop-partial)
//   <file>.answer                       answer := code-name '\n' sentence '\n'; the code is "ok" when it was done
//
// For example dead-1f2e.order "requeue 00112233445566778899aabbccddeeff\n" is answered by dead-1f2e.order.answer
// "ok\nrequeued: it is in custody again\n".
namespace tributary {

struct Order {
  enum class Verb { kRequeue, kPurge, kDropPartial };
  Verb verb = Verb::kRequeue;
  std::optional<UploadId> upload = std::nullopt;  // nullopt: all, for kPurge only
  std::optional<DeviceId> device = std::nullopt;  // of kDropPartial; nullopt: all devices
  bool operator==(const Order&) const = default;
};

inline constexpr size_t kOrderBytes = 128;

std::string FormatOrder(const Order& order);
// kMalformed: not exactly one order.
Result<Order> ParseOrder(std::string_view text);

// What became of a file of the drop folder: the sentence, or the error.
using InboxAnswer = Result<std::string>;
std::string FormatAnswer(const InboxAnswer& answer);
// kMalformed when it is no answer.
InboxAnswer ParseAnswer(std::string_view text);

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
