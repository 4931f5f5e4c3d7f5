#pragma once

#include <memory>
#include <utility>

#include "aggregator/store/account_table.h"
#include "aggregator/store/privacy_table.h"
#include "aggregator/store/retention_table.h"
#include "aggregator/store/round_table.h"
#include "aggregator/store/task_table.h"
#include "aggregator/store/watch_tables.h"

namespace tributary {

// All that the aggregator remembers, in one database: the tables below read and write it, and what must hold together
// is written between Begin and the transaction's Commit. Resource type; one thread. Errors of every call: those of
// Database. SQL that SQLite and PostgreSQL both understand, but for the types of the columns.
class Store {
 public:
  // Creates the file when absent and brings its schema to this program's form. kVersionUnsupported: a newer program's
  // file.
  static Result<std::unique_ptr<Store>> Open(const Path& file);

  Result<Transaction> Begin() { return Transaction::Begin(*database_); }

 private:
  explicit Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  std::unique_ptr<Database> database_;

 public:
  TaskTable tasks{*database_};
  RoundTable rounds{*database_};
  ContributionTable contributions{*database_};
  EvaluationTable evaluations{*database_};
  GatewayTable gateways{*database_};
  MemberTable members{*database_};
  DeviceStateTable reports{*database_};
  AccountTable accounts{*database_};
  RetentionTable retention{*database_};
  PrivacyTable privacy{*database_};
};

}  // namespace tributary
