#include "gateway/desk/drop_folder.h"
#include "protocol/base/limits.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/bundle/receipt.h"
#include "tests/fuzz/fuzz_target.h"

// Files of a disk that was carried by hand, and of the drop folder: each parser meets every file.
TRIBUTARY_FUZZ_TARGET(bundle) {
  using namespace tributary;
  const ByteView bytes(data, size);
  if (const auto envelope = bundle::ParseUploadHead(bytes)) {
    TRIBUTARY_CHECK(*envelope <= limits::kEnvelopeBytes) << *envelope;
    TRIBUTARY_CHECK(bundle::UploadHead(*envelope) == ToBytes(bytes.first(bundle::kUploadHeadBytes))) << "another head";
  }
  if (const auto receipt = ParseReceipt(bytes)) {
    TRIBUTARY_CHECK(receipt->receipt.uploads.size() <= kReceiptUploads) << receipt->receipt.uploads.size();
    TRIBUTARY_CHECK(receipt->chain.size() <= limits::kCertificateChain) << receipt->chain.size();
  }
  if (const auto order = ParseOrder(AsText(bytes))) {
    const auto again = ParseOrder(FormatOrder(*order));
    TRIBUTARY_CHECK(again && *again == *order) << "another order";
  }
  const auto answer = ParseAnswer(AsText(bytes));
  TRIBUTARY_CHECK(answer || !answer.error().message.empty()) << "a refusal that says nothing";
  return 0;
}
