#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/api/audit_log.h"
#include "aggregator/api/core_call.h"
#include "aggregator/records/slice.h"
#include "protocol/base/http/http_server.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/identity/invitation.h"

// The common part of all routes (*_routes.h): the parts they work on, how they read paths and queries, and how a route
// that changes something is added.
namespace tributary {

class ApiTokenStore;
class Enrolment;
class EventFeed;
class Rounds;
class Tasks;
class Watch;

// The parts that the API works on; all of them must outlive the server's Stop. Tasks, rounds and watch are only ever
// called on the core thread, except for reading whole blobs.
struct ApiParts {
  CoreCall core;  // to the core thread, and how long a request waits for its turn there
  Tasks& tasks;
  Rounds& rounds;
  Watch& watch;
  EventFeed& events;
  ApiTokenStore& tokens;
  AuditLog& audit;
  const Clock& clock;
};

struct SealingKeyList {
  KeyId current;
  std::vector<FormerSealingKey> former;
};

// The parts that the routes about members, their tokens and the sealing keys work on. All calls happen on the core
// thread.
struct MemberParts {
  Enrolment& enrolment;
  // An invitation that carries this token: everything that a member of this fleet has to believe from the start.
  std::function<Result<Invitation>(Role role, SecretBytes token)> invite;
  std::function<SealingKeyList()> sealing_keys;
  // Makes a new current key; the present one opens for `overlap` more. The publication follows by itself.
  std::function<Status(Millis overlap)> rotate_sealing_key;
};

// ---- paths and queries

// The task a path names. kUnknownTask, since a name of another form cannot be one.
Result<TaskId> TaskOfPath(const HttpRequest& request);
// The id of a member that a path names under `name`. kNotFound, for the same reason.
Result<DeviceId> MemberOfPath(const HttpRequest& request, const std::string& name);
// The number a path names: digits only. `missing` is the error's code otherwise.
Result<uint64_t> NumberOfPath(const HttpRequest& request, const std::string& name, Code missing);
// A number of the query, at most `max`. kInvalidArgument names it.
Result<uint64_t> QueryNumber(const HttpRequest& request, const std::string& name, uint64_t absent, uint64_t max);
// How many items the answer to a list may have: "limit", 1 to 1000, 100 when the query does not say.
Result<uint64_t> PageLimit(const HttpRequest& request);
// The id in "cursor", the last one of the page before; empty on the first page. kInvalidArgument.
Result<DeviceId> MemberCursor(const HttpRequest& request);

// The number in "cursor", that of the last item of the page before; 0 on the first page. kInvalidArgument.
Result<uint64_t> NumberCursor(const HttpRequest& request);

// ---- lists

// Reads a page of `limit` items, and one more if there is one, which says that the list goes on. `read`, a
// Result<std::vector<Item>>(Slice<Key>), runs on the core thread once for each kItemsOfTurn items. Other work takes its
// turns between, so the page may show an earlier item as it was before a later one changed; none is missing or twice.
template <class Key, class Read, class KeyOf>
auto ReadPage(const CoreCall& core, Key after, uint64_t limit, Read read, KeyOf key_of)
    -> decltype(read(Slice<Key>{})) {
  auto items = typename decltype(read(Slice<Key>{}))::value_type();
  for (const uint64_t wanted = limit + 1; items.size() < wanted;) {
    const Slice<Key> slice{after, std::min<uint64_t>(kItemsOfTurn, wanted - items.size())};
    ASSIGN_OR_RETURN(auto some, core.Run([read, slice] { return read(slice); }));
    const bool is_last = some.size() < slice.most;
    std::ranges::move(some, std::back_inserter(items));
    if (is_last) break;
    after = key_of(items.back());
  }
  return items;
}

// ---- views

// Adds a route that every token may read. `view` makes its JSON.
void AddView(HttpServer& server, const std::string& pattern,
             std::function<Result<std::string>(const HttpRequest&)> view);

// ---- changes

struct ChangeMade {
  HttpResponse response;
  AuditValues values;  // of `target`, as JSON without secrets
};

// A request that was read and can be tried.
struct Change {
  std::string target;  // "tasks/digits"
  std::function<Result<ChangeMade>()> make;
};
// Reads the request and changes nothing; its errors are answered and not recorded.
using ChangeHandler = std::function<Result<Change>(const HttpRequest&)>;

// Adds a route that changes something. `access`: whom it admits; `action`: how the audit log calls it ("rounds.start").
// The answer goes out when the change and its entries are durable (RunAudited).
void AddChange(HttpServer& server, AuditLog& audit, const std::string& method, const std::string& pattern,
               HttpAccess access, const std::string& action, ChangeHandler handler);

}  // namespace tributary
