#include <curl/curl.h>

#include "providers/transport.h"

namespace embedflow {

std::string TransportVersion() { return curl_version(); }

}  // namespace embedflow
