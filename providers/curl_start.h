// What curl needs once a process.
#ifndef EMBEDFLOW_PROVIDERS_CURL_START_H_
#define EMBEDFLOW_PROVIDERS_CURL_START_H_

#include <cstddef>

#include "embedflow/status.h"
#include "providers/transport.h"

namespace embedflow {

// Starts curl with the first call; ignores SIGPIPE unless the program handles it, because a socket
// that the other side has closed must not end the process; and says in the log, once, if a proxy
// is set in the environment, by its host alone.
// Threads: any.
Status StartCurl();

// `wanted` connections, or as many as the process may open besides what it has open now and the
// files that the store and the index still need; at least 1. Says so in the log when it is fewer.
// Threads: any.
std::size_t ConnectionsWithinFiles(std::size_t wanted);

// Where the environment says that trusted certificates are: SSL_CERT_FILE and SSL_CERT_DIR, as the
// programs of OpenSSL read them; libcurl does not. Fills what is empty in `options` and says in the
// log, once, that it did.
// Threads: none may change the environment meanwhile.
void TakeTrustFromEnvironment(ReactorOptions* options);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_CURL_START_H_
