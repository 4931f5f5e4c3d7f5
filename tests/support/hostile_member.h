#pragma once

#include <functional>
#include <string>
#include <vector>

#include "protocol/payload/evaluation.h"
#include "tests/support/raw_session.h"

namespace tributary {

// A member of the fleet whose keys are good and whose words are not: what it says is signed and sealed as it should be,
// and passes none of the checks that our own programs make before they speak. Each thing that it does answers what the
// server made of it: "unreachable" when there is no session to be had, "silence" when it ended without a word.
// Everything is called from one thread; what is handed to the constructor must outlive it.
class HostileMember {
 public:
  // `publication`: what it seals for, as it is then; its first task is the one that it speaks of.
  HostileMember(DeviceThread& thread, const Identity& identity, const Site::Address& server,
                const Publication& publication);

  // An upload with any plaintext, whose subject `change` may change before it is signed. The answer is one of
  // RawSession::Upload.
  std::string Send(UploadKind kind, ByteView plaintext, const std::function<void(UploadSubject&)>& change = {});
  std::string Evaluate(ModelVersion version, const std::vector<EvaluationResult>& results);
  // Of the version before the present one: its round is over.
  std::string Evaluate(const EvaluationResult& result);
  // Its update of the present version.
  std::string Update(uint64_t weight);
  // Its update, whose header `change` changes after it was sealed and before it is signed.
  std::string Offer(const std::function<void(UploadHeader&)>& change);
  // A message as it is, then a good one: "answered", or the code with which the server ended the session.
  std::string Say(ByteView message);
  // A check-in that describes one gateway, with this text, byte for byte, as its trouble.
  std::string SayTrouble(const std::string& trouble, uint64_t count = 0);
  // A check-in that claims to hold the publication of this number, and shows these bytes.
  std::string SayHolding(uint64_t number, const Bytes& publication);
  // A check-in with this device class.
  std::string SayClass(const std::string& device_class);

  const DeviceId& id() const { return identity_.subject.id; }
  const Publication& publication() const { return publication_; }

 private:
  // A new one when the last one was ended; null: there is none to be had.
  RawSession* Session();
  std::string Deliver(ByteView envelope, const std::vector<Bytes>& chunks);

  DeviceThread& thread_;
  const Identity& identity_;
  const Site::Address server_;
  const Publication& publication_;
  std::unique_ptr<RawSession> session_;
};

// One thing that a hostile member does, and the answers that are right. Add rows to hostile_member.cc: tests play all
// of them against real processes and look whether the fleet is as it was.
struct HostileRow {
  const char* name;
  std::function<std::string(HostileMember&)> act;
  std::vector<std::string> answers;

  // Whether this is one of them. A gateway opens no payload: it takes custody, and the aggregator's refusal ends there.
  bool IsAnsweredBy(const std::string& answer, bool by_gateway) const;
};
std::vector<HostileRow> HostileRows();

}  // namespace tributary
