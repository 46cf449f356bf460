#include "pipeline/graph.h"

#include <oneapi/tbb/flow_graph.h>

#include <algorithm>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "pipeline/guard.h"
#include "pipeline/stage_bodies.h"

namespace embedflow {
namespace {

namespace flow = oneapi::tbb::flow;

// A node that refuses a message would lose it without a word, so the result of every put is
// checked.
template <typename Port, typename Pointer>
void Send(Port& port, const Pointer& message) {
  Publish(message);
  EF_CHECK(port.try_put(message));
}

}  // namespace

struct Graph::Nodes {
  // Ports: to pack, to persist.
  using LookupNode = flow::multifunction_node<AdmissionPtr, std::tuple<AdmissionPtr, BatchPtr>>;
  using PackNode = flow::multifunction_node<AdmissionPtr, std::tuple<BatchPtr>>;
  using AsyncNode = flow::async_node<BatchPtr, BatchPtr, flow::queueing>;
  // Ports: to persist, again to rate_limit, halves to ready, the token back to the gate.
  using RetryNode =
      flow::multifunction_node<BatchPtr, std::tuple<BatchPtr, BatchPtr, BatchPtr, int>>;

  Nodes(RunState& run_state, const Chunker& chunker, std::function<void(BatchPtr)> persist_sink);

  AdmissionPtr Chunk(const AdmissionPtr& admission);
  void Lookup(const AdmissionPtr& admission, LookupNode::output_ports_type& ports);
  void Pack(const AdmissionPtr& admission, PackNode::output_ports_type& ports);
  BatchPtr ReserveTime(const BatchPtr& batch);
  void Dispatch(const BatchPtr& batch);
  BatchPtr Decode(const BatchPtr& batch);
  void Retry(const BatchPtr& batch, RetryNode::output_ports_type& ports);
  void Persist(const BatchPtr& batch);
  void SettleBatch(const BatchPtr& batch);
  // What a body that threw leaves behind: a batch that only has to be settled.
  static void CancelBatch(Batch& batch);

  RunState& run;
  StageBodies bodies;
  const std::function<void(BatchPtr)> persist_sink;
  Transport* transport = nullptr;
  std::uint64_t flushed_mark = 0;  // Transport's thread only.

  Mutex mu;
  // Batches the transport has, by id. Bounded by the gate.
  std::unordered_map<std::uint64_t, BatchPtr> in_flight EF_GUARDED_BY(mu);

  flow::graph graph;
  flow::function_node<AdmissionPtr, AdmissionPtr> chunk;
  LookupNode lookup;
  PackNode pack;
  // Bounded, like every queue of the graph, by the budget: everything in it was admitted.
  flow::queue_node<BatchPtr> ready;
  // A token leaves with a batch and comes back once, when the batch needs no further attempt. The
  // decrementer is an int: the default one waits for all its edges.
  flow::limiter_node<BatchPtr, int> gate;
  flow::function_node<BatchPtr, BatchPtr> rate_limit;
  AsyncNode dispatch;
  flow::function_node<BatchPtr, BatchPtr> decode;
  RetryNode retry;
  AsyncNode persist;
  flow::function_node<BatchPtr> settle;
};

Graph::Nodes::Nodes(RunState& run_state, const Chunker& chunker, std::function<void(BatchPtr)> sink)
    : run(run_state),
      bodies(run_state, chunker),
      persist_sink(std::move(sink)),
      chunk(graph, flow::unlimited, [this](const AdmissionPtr& a) { return Chunk(a); }),
      lookup(graph, flow::unlimited,
             [this](const AdmissionPtr& a, LookupNode::output_ports_type& ports) {
               Lookup(a, ports);
             }),
      pack(graph, flow::serial,
           [this](const AdmissionPtr& a, PackNode::output_ports_type& ports) { Pack(a, ports); }),
      ready(graph),
      gate(graph, InFlightMax(*run.provider, run.options.flow)),
      rate_limit(graph, flow::serial, [this](const BatchPtr& b) { return ReserveTime(b); }),
      dispatch(graph, flow::unlimited,
               [this](const BatchPtr& b, AsyncNode::gateway_type&) { Dispatch(b); }),
      decode(graph, flow::unlimited, [this](const BatchPtr& b) { return Decode(b); }),
      retry(graph, flow::unlimited,
            [this](const BatchPtr& b, RetryNode::output_ports_type& ports) { Retry(b, ports); }),
      persist(graph, flow::unlimited,
              [this](const BatchPtr& b, AsyncNode::gateway_type&) { Persist(b); }),
      settle(graph, flow::serial, [this](const BatchPtr& b) { SettleBatch(b); }) {
  flow::make_edge(chunk, lookup);
  flow::make_edge(flow::output_port<0>(lookup), pack);
  flow::make_edge(flow::output_port<1>(lookup), persist);
  flow::make_edge(flow::output_port<0>(pack), ready);
  flow::make_edge(ready, gate);
  flow::make_edge(gate, rate_limit);
  flow::make_edge(rate_limit, dispatch);
  flow::make_edge(dispatch, decode);
  flow::make_edge(decode, retry);
  flow::make_edge(flow::output_port<0>(retry), persist);
  flow::make_edge(flow::output_port<1>(retry), rate_limit);
  flow::make_edge(flow::output_port<2>(retry), ready);
  flow::make_edge(flow::output_port<3>(retry), gate.decrementer());
  flow::make_edge(persist, settle);
}

void Graph::Nodes::CancelBatch(Batch& batch) {
  batch.outcome.kind = Outcome::Kind::kCancelled;
  batch.end = Batch::End::kCancelled;
  batch.vectors = {};
}

AdmissionPtr Graph::Nodes::Chunk(const AdmissionPtr& admission) {
  if (!Guard(run, "chunk", admission, [&] { bodies.Chunk(*admission); })) {
    // Half-made chunks must not be taken for the document's: it leaves uncommitted.
    for (const DocumentPtr& document : admission->documents) {
      document->chunks.clear();
      document->waiting = 1;
      document->cancelled = true;
    }
  }
  Publish(admission);
  return admission;
}

void Graph::Nodes::Lookup(const AdmissionPtr& admission, LookupNode::output_ports_type& ports) {
  Guard(run, "lookup", admission, [&] {
    std::vector<DocumentPtr> finished;
    bodies.Lookup(*admission, &finished);
    if (!finished.empty()) {
      const BatchPtr batch = bodies.NewBatch();
      batch->end = Batch::End::kKnown;
      batch->finished = std::move(finished);
      Send(std::get<1>(ports), batch);
    }
    if (!admission->to_buy.empty()) Send(std::get<0>(ports), admission);
  });
}

void Graph::Nodes::Pack(const AdmissionPtr& admission, PackNode::output_ports_type& ports) {
  Guard(run, "pack", admission, [&] {
    std::vector<BatchPtr> closed;
    bodies.Pack(*admission, &closed);
    for (const BatchPtr& batch : closed) Send(std::get<0>(ports), batch);
  });
}

BatchPtr Graph::Nodes::ReserveTime(const BatchPtr& batch) {
  Guard(run, "rate_limit", batch, [&] { bodies.ReserveTime(*batch); });
  Publish(batch);
  return batch;
}

void Graph::Nodes::Dispatch(const BatchPtr& batch) {
  bool submitted = false;
  const bool done = Guard(run, "dispatch", batch, [&] {
    std::optional<TransportJob> job = bodies.Write(*batch);
    if (!job) return;
    {
      MutexLock lock(mu);
      in_flight.emplace(batch->id, batch);
    }
    ++run.counters.in_flight;
    dispatch.gateway().reserve_wait();
    submitted = true;
    Publish(batch);
    transport->Submit(*std::move(job));
  });
  if (!done && !submitted) CancelBatch(*batch);
  if (!submitted) Send(dispatch.gateway(), batch);
}

BatchPtr Graph::Nodes::Decode(const BatchPtr& batch) {
  if (!Guard(run, "decode", batch, [&] { bodies.Decode(*batch); })) CancelBatch(*batch);
  Publish(batch);
  return batch;
}

void Graph::Nodes::Retry(const BatchPtr& batch, RetryNode::output_ports_type& ports) {
  StageBodies::Judgement judgement;
  if (!Guard(run, "retry", batch, [&] { judgement = bodies.Judge(*batch); })) {
    CancelBatch(*batch);
    judgement = {{Verdict::Kind::kCancel, {}}, {}};
  }
  switch (judgement.verdict.kind) {
    case Verdict::Kind::kAgain:
      Send(std::get<1>(ports), batch);  // The token stays with the batch.
      return;
    case Verdict::Kind::kSplit:
      for (const BatchPtr& half : judgement.halves) Send(std::get<2>(ports), half);
      break;
    default:
      Send(std::get<0>(ports), batch);
  }
  EF_CHECK(std::get<3>(ports).try_put(1));
}

void Graph::Nodes::Persist(const BatchPtr& batch) {
  Observe(batch);
  persist.gateway().reserve_wait();
  Publish(batch);
  persist_sink(batch);
}

void Graph::Nodes::SettleBatch(const BatchPtr& batch) {
  Guard(run, "settle", batch, [&] { bodies.Settle(*batch); });
}

Graph::Graph(RunState& run, const Chunker& chunker, std::function<void(BatchPtr)> persist)
    : nodes_(std::make_unique<Nodes>(run, chunker, std::move(persist))) {}

Graph::~Graph() = default;

void Graph::SetTransport(Transport* transport) { nodes_->transport = transport; }

void Graph::Put(const AdmissionPtr& admission) { Send(nodes_->chunk, admission); }

void Graph::Flush(bool now) {
  const std::uint64_t mark = nodes_->bodies.open_mark();
  const bool rested = mark == nodes_->flushed_mark;
  nodes_->flushed_mark = mark;
  if (mark == 0 || !(rested || now)) return;
  auto admission = std::make_shared<Admission>();
  admission->flush = true;
  Send(nodes_->pack, admission);
}

void Graph::Deliver(std::vector<TransportAnswer> answers) {
  for (TransportAnswer& answer : answers) {
    BatchPtr batch;
    {
      MutexLock lock(nodes_->mu);
      const auto entry = nodes_->in_flight.find(answer.id);
      EF_CHECK(entry != nodes_->in_flight.end());
      batch = std::move(entry->second);
      nodes_->in_flight.erase(entry);
    }
    Observe(batch);
    nodes_->bodies.TakeAnswer(*batch, std::move(answer));
    --nodes_->run.counters.in_flight;
    Send(nodes_->dispatch.gateway(), batch);
    nodes_->dispatch.gateway().release_wait();
  }
}

void Graph::Settle(const BatchPtr& batch) {
  Send(nodes_->persist.gateway(), batch);
  nodes_->persist.gateway().release_wait();
}

void Graph::Hold() { nodes_->graph.reserve_wait(); }
void Graph::Release() { nodes_->graph.release_wait(); }

void Graph::WaitIdle() {
  while (true) {
    nodes_->graph.wait_for_all();
    if (nodes_->bodies.open_mark() == 0) return;
    auto admission = std::make_shared<Admission>();
    admission->flush = true;
    Send(nodes_->pack, admission);
  }
}

std::size_t Graph::InFlightMax(const Provider& provider, const FlowOptions& flow) {
  if (flow.requests_in_flight_max) return *flow.requests_in_flight_max;
  if (provider.dialect() != nullptr) return flow.connections_max;
  // One batch a core being computed, and one waiting.
  return 2 * std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

}  // namespace embedflow
