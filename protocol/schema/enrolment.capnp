@0xb71e0d5c94a3f268;

# How a member gets its certificate. The applicant makes its keys itself and sends a request, sealed to the aggregator's key
# (HPKE base mode, info "tributary enrolment v1", one message, associated data empty), through whatever gateways lie between:
# they see neither the token nor the certificate that a renewal shows. The answer is the certificate, which is no secret.
#
#   sealed request = enc (32 bytes) || ciphertext
#   what is sealed = canonical bytes of EnrolmentRequest
#   request id     = SHA-256(sealed request); the applicant asks again with the very same bytes until it is answered

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tributary::schema");

struct SealedEnrolment {
  aead @0 :UInt16;
  keyId @1 :Data;               # first 8 bytes of the SHA-256 of the aggregator's public key, as in an upload's header
  sealed @2 :Data;
}

struct EnrolmentRequest {
  request @0 :Data;             # PKCS#10, DER
  createdUnixMillis @1 :Int64;
  authority :union {
    token @2 :Text;             # a new member: what an operator handed out
    renewal @3 :Renewal;        # a member whose certificate will end
  }
}

struct Renewal {
  chain @0 :List(Data);         # of the certificate that it has, leaf first; it must verify now
  signature @1 :Data;  # Ed25519 by that certificate's key over "tributary renewal v1\n" followed by `request`
}
