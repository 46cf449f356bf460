// Certificates for TlsServer, made when they are asked for.
#ifndef EMBEDFLOW_TESTS_PROVIDERS_TLS_CERTIFICATES_H_
#define EMBEDFLOW_TESTS_PROVIDERS_TLS_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "tests/providers/tls_server.h"

namespace embedflow {

struct TlsIdentity {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;
};

TlsIdentity MakeTlsIdentity(TlsCertificate kind);

// A file with the certificate of the authority behind kGood.
const std::string& TlsAuthorityFile();

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_PROVIDERS_TLS_CERTIFICATES_H_
