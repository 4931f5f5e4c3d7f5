#pragma once

#include <memory>
#include <set>
#include <string>

#include "gateway/desk/drop_folder.h"
#include "protocol/base/executor.h"
#include "protocol/member/membership.h"
#include "protocol/spool/spool.h"
#include "protocol/transport/loop.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The daemon's side of the drop folder (drop_folder.h): takes in receipts, publications and orders. It believes no file
// because of its place: receipts and publications are verified as if they came from the parent. Look is called on the
// loop's thread; a publication and its blobs are verified on a worker. A file that the disk refuses for now stays and is
// tried again. Everything in Parts must outlive it.
class Inbox {
 public:
  struct Parts {
    FileSystem& files;
    const Clock& clock;
    Loop& loop;
    Executor& worker;
    Spool& spool;
    Membership& membership;
    const TrustAnchor& anchor;
  };
  Inbox(const Parts& parts, Path folder);
  ~Inbox();

  // Begins with what is new in the folder. Cheap when there is nothing.
  void Look();

 private:
  struct Custody;  // a receipt that the spool is being told of
  void TakeReceipt(const std::string& name);
  void TakeOrder(const std::string& name);
  void TakePublication();
  void Install(const Publication& publication);
  void RemoveBlobs(const Publication& publication);
  // Answers and removes the file; a passing error leaves it for the next look.
  void Finish(const std::string& name, const InboxAnswer& answer);

  Parts parts_;
  Path folder_;
  std::set<std::string> busy_;  // files that are being taken in
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
