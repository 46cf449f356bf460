#include "tests/providers/tls_certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"

namespace embedflow {
namespace {

constexpr long kHour = 3600;

struct Facts {
  std::string name;
  std::string alternative;  // As openssl.cnf writes it: "IP:127.0.0.1".
  long begin_s = -kHour;    // From now.
  long end_s = kHour;
  bool is_authority = false;
};

void Extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
  EF_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

TlsIdentity Make(const Facts& facts, const TlsIdentity* issuer) {
  static std::atomic<long> serial{1};
  TlsIdentity made;
  made.key.reset(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  made.certificate.reset(X509_new(), &X509_free);
  X509* certificate = made.certificate.get();
  EF_CHECK(made.key && certificate != nullptr);
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), facts.begin_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), facts.end_s);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(facts.name.c_str()), -1, -1, 0);
  X509* signer = issuer != nullptr ? issuer->certificate.get() : certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  X509_set_pubkey(certificate, made.key.get());
  Extend(certificate, signer, NID_basic_constraints,
         facts.is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!facts.alternative.empty())
    Extend(certificate, signer, NID_subject_alt_name, facts.alternative);
  EF_CHECK(
      X509_sign(certificate, (issuer != nullptr ? issuer->key : made.key).get(), EVP_sha256()) > 0);
  return made;
}

const TlsIdentity& Authority() {
  static const TlsIdentity authority =
      Make({.name = "embedflow test authority", .alternative = "", .is_authority = true}, nullptr);
  return authority;
}

struct AuthorityFile {
  AuthorityFile() {
    const int fd = mkstemp(path.data());
    EF_CHECK(fd >= 0);
    std::FILE* file = fdopen(fd, "w");
    EF_CHECK(PEM_write_X509(file, Authority().certificate.get()) == 1);
    EF_CHECK(std::fclose(file) == 0);
  }
  ~AuthorityFile() { unlink(path.c_str()); }
  std::string path = "/tmp/embedflow_authority_XXXXXX";
};

}  // namespace

TlsIdentity MakeTlsIdentity(TlsCertificate kind) {
  const std::string here = "IP:127.0.0.1,DNS:localhost";
  switch (kind) {
    case TlsCertificate::kGood:
      return Make({.name = "127.0.0.1", .alternative = here}, &Authority());
    case TlsCertificate::kExpired:
      return Make(
          {.name = "127.0.0.1", .alternative = here, .begin_s = -2 * kHour, .end_s = -kHour},
          &Authority());
    case TlsCertificate::kNotYetGood:
      return Make({.name = "127.0.0.1", .alternative = here, .begin_s = kHour, .end_s = 2 * kHour},
                  &Authority());
    case TlsCertificate::kOtherHost:
      return Make({.name = "other.example", .alternative = "DNS:other.example"}, &Authority());
    case TlsCertificate::kSelfSigned:
      return Make({.name = "127.0.0.1", .alternative = here}, nullptr);
    case TlsCertificate::kOtherAuthority: {
      const TlsIdentity other =
          Make({.name = "another authority", .alternative = "", .is_authority = true}, nullptr);
      return Make({.name = "127.0.0.1", .alternative = here}, &other);
    }
  }
  std::abort();
}

const std::string& TlsAuthorityFile() {
  static const AuthorityFile file;
  return file.path;
}

}  // namespace embedflow
