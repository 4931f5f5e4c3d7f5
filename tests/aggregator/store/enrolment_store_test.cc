#include "aggregator/store/enrolment_store.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::enrolment_store_test {
namespace {

class EnrolmentStoreTest : public testing::Test {
 protected:
  StoredCertificate Certificate(const std::string& serial, const char* member, uint8_t key) const {
    StoredCertificate certificate;
    certificate.issuer_public_key = Bytes(32, 0x11);
    certificate.serial = serial;
    certificate.member = TestDevice(member);
    certificate.public_key = Bytes(32, key);
    certificate.curve_public_key = Bytes(32, 0x33);
    return certificate;
  }

  TemporaryFolder folder_;
  std::unique_ptr<EnrolmentStore> store_ = Must(EnrolmentStore::Open(folder_ / "enrolment.db"));
};

TEST_F(EnrolmentStoreTest, ATokenIsNotCountedBeyondItsUses) {
  StoredToken token;
  token.record.id = "spring";
  token.record.uses = 2;
  Must(store_->tokens.Insert(token));
  Must(store_->tokens.CountUse("spring"));
  Must(store_->tokens.CountUse("spring"));
  EXPECT_EQ(store_->tokens.CountUse("spring").error().code, Code::kBadToken);
  EXPECT_EQ(store_->tokens.CountUse("summer").error().code, Code::kBadToken);
  EXPECT_EQ(Must(store_->tokens.All()).at(0).record.used, 2u);
}

TEST_F(EnrolmentStoreTest, AKeyLeadsToWhomeverItWasFirstCertifiedFor) {
  Must(store_->certificates.Insert(Certificate("01", "d1", 0x44)));
  Must(store_->certificates.Insert(Certificate("02", "d2", 0x55)));
  EXPECT_EQ(Must(store_->certificates.OwnerOfKey(Bytes(32, 0x55))), TestDevice("d2"));
  EXPECT_EQ(Must(store_->certificates.OwnerOfKey(Bytes(32, 0x66))), std::nullopt);
}

TEST_F(EnrolmentStoreTest, AnOlderDatabaseIsBroughtUpToDate) {
  StoredToken token;
  token.record.id = "spring";
  Must(store_->tokens.Insert(token));
  store_.reset();
  {
    const auto database = Must(Database::Open(folder_ / "enrolment.db"));
    for (const char* undo :
         {"DROP TABLE disk_probe", "DROP INDEX certificates_by_key", "DROP INDEX enrolled_members_by_role",
          "DROP INDEX enrolled_members_by_state", "PRAGMA user_version=1"}) {
      Must(database->Execute(undo));
    }
  }
  store_ = Must(EnrolmentStore::Open(folder_ / "enrolment.db"));
  EXPECT_EQ(Must(store_->tokens.All()).at(0).record.id, "spring");
  Must(store_->Probe(kTestStart));
}

TEST_F(EnrolmentStoreTest, AProbeMayBeRepeated) {
  Must(store_->Probe(kTestStart));
  Must(store_->Probe(kTestStart));
  store_.reset();
  store_ = Must(EnrolmentStore::Open(folder_ / "enrolment.db"));
  Must(store_->Probe(kTestStart));
}

}  // namespace
}  // namespace tributary::enrolment_store_test
