// Compresses the body of a request, for providers that read gzip
// (FlowOptions::request_gzip_enabled).
//
// One core compresses 97 MiB/s of JSON with texts of words to 47 % of its bytes: a request of
// 1.3 MB, about 300,000 model tokens, costs 13 ms (bench/README.md, gzip_bench).
#ifndef EMBEDFLOW_PROVIDERS_GZIP_H_
#define EMBEDFLOW_PROVIDERS_GZIP_H_

#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow {

// True: the body is a gzip stream now, `Content-Encoding: gzip` is among the headers, and
// is_compressed says so. False, and nothing has changed: the body is empty, already encoded, or
// would not become smaller.
// Errors: kInternal, when there is no memory; nothing has changed.
// Threads: any.
Result<bool> GzipRequest(HttpRequest* request);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_GZIP_H_
