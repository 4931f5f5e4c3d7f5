#pragma once

#include <future>
#include <string_view>
#include <thread>
#include <utility>

#include "bench/claim.h"
#include "protocol/base/random.h"
#include "protocol/transport/loop.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/trust_anchor.h"

// Both ends of a hop in one process, for the programs that measure it.
namespace tributary::bench {

// A CA and whom it issues; certificates end after an hour.
struct LoopbackFleet {
  static constexpr Millis kLifetime{3'600'000};

  SystemClock clock;
  SystemRandom random;
  CertificateAuthority authority = CertificateAuthority::Create("bench", clock.Now(), kLifetime);
  TrustAnchor anchor = Must(TrustAnchor::FromCertificate(authority.certificate()));

  Identity Issue(Role role, std::string_view id) const {
    CurveKeyPair curve = GenerateCurveKeyPair();
    Subject subject;
    subject.id = Must(DeviceId::Parse(id));
    subject.role = role;
    subject.curve_public_key = curve.public_key;
    SigningKey key = SigningKey::Generate();
    Certificate certificate = Must(authority.Issue(subject, key.public_key(), clock.Now(), kLifetime));
    return {std::move(subject), anchor, {std::move(certificate.der)}, std::move(key), std::move(curve.secret)};
  }
};

// A loop on a thread of its own.
class LoopThread {
 public:
  explicit LoopThread(const Clock& clock) : loop_(clock), thread_([this] { loop_.Run(); }) {}
  ~LoopThread() {
    loop_.Stop();
    thread_.join();
  }
  template <class Work>
  void Do(Work work) {
    std::promise<void> done;
    loop_.Post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  Loop& loop() { return loop_; }

 private:
  Loop loop_;
  std::thread thread_;
};

}  // namespace tributary::bench
