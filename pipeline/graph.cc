#include "pipeline/graph.h"

#include <oneapi/tbb/flow_graph.h>

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
  // Ports: to persist, again to admit.
  using RetryNode = flow::multifunction_node<BatchPtr, std::tuple<BatchPtr, BatchPtr>>;

  Nodes(RunState& run_state, const Chunker& chunker, std::function<void(BatchPtr)> persist_sink);

  AdmissionPtr Chunk(const AdmissionPtr& admission);
  void Lookup(const AdmissionPtr& admission, LookupNode::output_ports_type& ports);
  void Pack(const AdmissionPtr& admission, PackNode::output_ports_type& ports);
  void Admit(const BatchPtr& batch);
  void LetGo(const BatchPtr& batch);
  void SendBatch(const BatchPtr& batch);
  BatchPtr Decode(const BatchPtr& batch);
  void Retry(const BatchPtr& batch, RetryNode::output_ports_type& ports);
  void Persist(const BatchPtr& batch);
  void SettleBatch(const BatchPtr& batch);
  // What a body that threw leaves behind: a batch that only has to be settled.
  static void CancelBatch(Batch& batch);

  RunState& run;
  std::unique_ptr<Dispatcher> dispatcher;  // Null for an in-process provider.
  StageBodies bodies;
  const std::function<void(BatchPtr)> persist_sink;
  Transport* transport = nullptr;
  std::uint64_t flushed_mark = 0;  // Transport's thread only.

  Mutex mu;
  // Batches the transport has, by id. Bounded by the endpoints' limits of requests in flight.
  std::unordered_map<std::uint64_t, BatchPtr> in_flight EF_GUARDED_BY(mu);

  flow::graph graph;
  flow::function_node<AdmissionPtr, AdmissionPtr> chunk;
  LookupNode lookup;
  PackNode pack;
  // Batches wait in the dispatcher for an endpoint that may take them. What waits anywhere in the
  // graph was admitted by the budget, which bounds it.
  AsyncNode admit;
  AsyncNode send;
  flow::function_node<BatchPtr, BatchPtr> decode;
  RetryNode retry;
  AsyncNode persist;
  flow::function_node<BatchPtr> settle;
};

Graph::Nodes::Nodes(RunState& run_state, const Chunker& chunker, std::function<void(BatchPtr)> sink)
    : run(run_state),
      dispatcher(
          run_state.provider->dialect() == nullptr
              ? nullptr
              : std::make_unique<Dispatcher>(run_state, [this](const BatchPtr& b) { LetGo(b); })),
      bodies(run_state, chunker, dispatcher.get()),
      persist_sink(std::move(sink)),
      chunk(graph, flow::unlimited, [this](const AdmissionPtr& a) { return Chunk(a); }),
      lookup(graph, flow::unlimited,
             [this](const AdmissionPtr& a, LookupNode::output_ports_type& ports) {
               Lookup(a, ports);
             }),
      pack(graph, flow::serial,
           [this](const AdmissionPtr& a, PackNode::output_ports_type& ports) { Pack(a, ports); }),
      admit(graph, flow::unlimited,
            [this](const BatchPtr& b, AsyncNode::gateway_type&) { Admit(b); }),
      send(graph, flow::unlimited,
           [this](const BatchPtr& b, AsyncNode::gateway_type&) { SendBatch(b); }),
      decode(graph, flow::unlimited, [this](const BatchPtr& b) { return Decode(b); }),
      retry(graph, flow::unlimited,
            [this](const BatchPtr& b, RetryNode::output_ports_type& ports) { Retry(b, ports); }),
      persist(graph, flow::unlimited,
              [this](const BatchPtr& b, AsyncNode::gateway_type&) { Persist(b); }),
      settle(graph, flow::serial, [this](const BatchPtr& b) { SettleBatch(b); }) {
  flow::make_edge(chunk, lookup);
  flow::make_edge(flow::output_port<0>(lookup), pack);
  flow::make_edge(flow::output_port<1>(lookup), persist);
  flow::make_edge(flow::output_port<0>(pack), admit);
  flow::make_edge(admit, send);
  flow::make_edge(send, decode);
  flow::make_edge(decode, retry);
  flow::make_edge(flow::output_port<0>(retry), persist);
  flow::make_edge(flow::output_port<1>(retry), admit);
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
    std::vector<BatchPtr> cached;
    bodies.Lookup(*admission, &finished, &cached);
    for (const BatchPtr& batch : cached) Send(std::get<1>(ports), batch);
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

void Graph::Nodes::Admit(const BatchPtr& batch) {
  if (dispatcher == nullptr) {
    Send(admit.gateway(), batch);
    return;
  }
  Observe(batch);
  admit.gateway().reserve_wait();
  Publish(batch);
  dispatcher->Add(batch, batch->goes_first);
}

void Graph::Nodes::LetGo(const BatchPtr& batch) {
  Send(admit.gateway(), batch);
  admit.gateway().release_wait();
}

void Graph::Nodes::SendBatch(const BatchPtr& batch) {
  bool submitted = false;
  const bool done = Guard(run, "send", batch, [&] {
    std::optional<TransportJob> job = bodies.Write(*batch);
    if (!job) return;
    {
      MutexLock lock(mu);
      in_flight.emplace(batch->id, batch);
    }
    ++run.counters.in_flight;
    send.gateway().reserve_wait();
    submitted = true;
    Publish(batch);
    transport->Submit(*std::move(job));
  });
  if (!done && !submitted) CancelBatch(*batch);
  if (!submitted) Send(send.gateway(), batch);
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
      Send(std::get<1>(ports), batch);
      return;
    case Verdict::Kind::kSplit:
      for (const BatchPtr& half : judgement.halves) Send(std::get<1>(ports), half);
      return;
    default:
      Send(std::get<0>(ports), batch);
  }
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

void Graph::SetTransport(Transport* transport) {
  nodes_->transport = transport;
  if (nodes_->dispatcher) nodes_->dispatcher->SetTransport(transport);
}

void Graph::Halt() {
  if (nodes_->dispatcher) nodes_->dispatcher->Pump();
}

Dispatcher* Graph::dispatcher() { return nodes_->dispatcher.get(); }

void Graph::Put(const AdmissionPtr& admission) { Send(nodes_->chunk, admission); }

void Graph::Flush(bool now) {
  const std::uint64_t mark = nodes_->bodies.open_mark();
  const bool rested = mark == nodes_->flushed_mark;
  nodes_->flushed_mark = mark;
  if (mark == 0 || !(rested || now)) return;
  // While others wait for a permit, a batch that is not full yet may go on filling.
  if (nodes_->dispatcher && nodes_->dispatcher->waiting() > 0) return;
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
    Send(nodes_->send.gateway(), batch);
    nodes_->send.gateway().release_wait();
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
    if (nodes_->bodies.open_mark() == 0) {
      // Of a run that halts; any other waits for the answer.
      nodes_->bodies.EndProbe();
      return;
    }
    auto admission = std::make_shared<Admission>();
    admission->flush = true;
    Send(nodes_->pack, admission);
  }
}

}  // namespace embedflow
