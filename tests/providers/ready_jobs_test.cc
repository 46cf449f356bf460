#include "providers/ready_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace embedflow {
namespace {

TransportJob JobFor(std::uint64_t id, const std::string& url) {
  TransportJob job;
  job.id = id;
  job.request.url = url;
  return job;
}

TEST(ReadyJobs, KeepsTheOrderOfAHost) {
  ReadyJobs jobs(10);
  for (std::uint64_t id = 0; id < 5; ++id) jobs.Push(JobFor(id, "http://a:1/x"));
  for (std::uint64_t id = 0; id < 5; ++id) EXPECT_EQ(jobs.Pop()->id, id);
  EXPECT_FALSE(jobs.Pop());
}

TEST(ReadyJobs, HostsTakeTurns) {
  ReadyJobs jobs(10);
  for (std::uint64_t id = 0; id < 3; ++id) jobs.Push(JobFor(id, "http://a:1/x"));
  for (std::uint64_t id = 10; id < 12; ++id) jobs.Push(JobFor(id, "https://b/y?z"));
  std::vector<std::uint64_t> order;
  while (std::optional<TransportJob> job = jobs.Pop()) order.push_back(job->id);
  EXPECT_THAT(order, testing::ElementsAre(0, 10, 1, 11, 2));
}

TEST(ReadyJobs, AHostWithoutRoomDoesNotHoldTheOthers) {
  ReadyJobs jobs(2);
  for (std::uint64_t id = 0; id < 4; ++id) jobs.Push(JobFor(id, "http://a:1/x"));
  EXPECT_TRUE(jobs.has_next());
  EXPECT_EQ(jobs.Pop()->id, 0u);
  EXPECT_EQ(jobs.Pop()->id, 1u);
  EXPECT_FALSE(jobs.has_next());
  EXPECT_FALSE(jobs.Pop());
  // Another port is another host.
  jobs.Push(JobFor(10, "http://a:2/x"));
  EXPECT_EQ(jobs.Pop()->id, 10u);
  jobs.Release("http://a:1/other");
  EXPECT_TRUE(jobs.has_next());
  EXPECT_EQ(jobs.Pop()->id, 2u);
  EXPECT_FALSE(jobs.Pop());
}

TEST(ReadyJobs, GivesBackWhatWaits) {
  ReadyJobs jobs(1);
  jobs.Push(JobFor(1, "http://a/"));
  jobs.Push(JobFor(2, "http://a/"));
  jobs.Push(JobFor(3, "no address"));
  EXPECT_EQ(jobs.Pop()->id, 1u);
  EXPECT_EQ(jobs.Pop()->id, 3u);
  EXPECT_EQ(jobs.TakeAll().size(), 1u);
  EXPECT_FALSE(jobs.has_next());
  jobs.Release("http://a/");
  jobs.Release("no address");
  jobs.Push(JobFor(4, "http://a/"));
  EXPECT_EQ(jobs.Pop()->id, 4u);
}

}  // namespace
}  // namespace embedflow
