// The dataflow: nodes and edges, in the order of the drawing in docs/design.md. What the nodes do
// is in stage_bodies.h.
#ifndef EMBEDFLOW_PIPELINE_GRAPH_H_
#define EMBEDFLOW_PIPELINE_GRAPH_H_

#include <functional>
#include <memory>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/dispatcher.h"
#include "pipeline/run.h"
#include "providers/transport.h"
#include "stages/chunker.h"

namespace embedflow {

// Threads: Halt by any; Put by the source's thread and the transport's; Flush and Deliver by the
// transport's; Settle by the writer's; WaitIdle by the thread that made it, which computes for the
// graph meanwhile.
class Graph {
 public:
  // `persist` takes a batch to the disk and must not block; the batch comes back through Settle().
  // All references outlive the graph. `transport` may be set later, before the first Put.
  Graph(RunState& run, const Chunker& chunker, std::function<void(BatchPtr)> persist);
  // The graph must be idle.
  ~Graph();

  void SetTransport(Transport* transport);

  void Put(const AdmissionPtr& admission);
  // Sends the open batch on its way if nothing was added to it since the last call, or if `now`.
  void Flush(bool now);
  // Lets go what waits for an endpoint once the run is halting.
  void Halt();
  // Null for an in-process provider.
  Dispatcher* dispatcher();
  // Answers of the transport.
  void Deliver(std::vector<TransportAnswer> answers);
  // A batch that the writer is through with.
  void Settle(const BatchPtr& batch);

  // While held, WaitIdle does not return: more may be put.
  void Hold();
  void Release();
  // Returns when nothing is inside and nothing is held; what the packer keeps open is sent on its
  // way first. A question to the provider that is under way is given up then.
  void WaitIdle();

 private:
  struct Nodes;
  std::unique_ptr<Nodes> nodes_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_GRAPH_H_
