// Port: a consumer group's member that reads topics. One thread calls everything, and calls poll()
// at least every few seconds, whatever else it has to do: the group waits for it when it changes.
//
// A new group starts where its owner wants it to; where a group stands is never moved by anything
// but commit(). Errors are core::IntegrationError: kMisconfigured when only a person can help (an
// offset that the log no longer holds, no right to read), else make a new source.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/worker/raw_record.hpp"

namespace relevo::worker {

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;

  auto operator<=>(const TopicPartition&) const = default;
};

class MessageSource {
 public:
  // Told from within poll() and close().
  class Assignment {
   public:
    virtual ~Assignment() = default;
    // Records of these partitions follow.
    virtual void assigned(std::span<const TopicPartition> partitions) = 0;
    // No record of them follows, another member may be given them once this returns; what was
    // handed to store() until then is committed first, unless they are lost already.
    virtual void revoked(std::span<const TopicPartition> partitions, bool lost) = 0;
  };

  virtual ~MessageSource() = default;

  // Appends up to `most` records, waiting up to `wait` for the first one.
  virtual void poll(std::chrono::milliseconds wait, std::size_t most,
                    std::vector<RawRecord>& records, Assignment& assignment) = 0;

  // Until resume(), poll() returns records of no partition but keeps the membership alive. Records
  // that were fetched ahead are fetched again.
  virtual void pause() = 0;
  virtual void resume() = 0;

  // Everything before `next` is done. A partition that is not assigned (any more) is passed over.
  virtual void store(const TopicPartition& partition, std::int64_t next) = 0;
  // Tells the brokers what was stored; without waiting for them.
  virtual void commit() = 0;

  // Records between what is stored and the end of the partitions assigned, as far as known.
  virtual std::int64_t lag() const = 0;

  // Leaves the group after a last commit; waits for the brokers up to `limit`. Nothing but the
  // destructor may follow.
  virtual void close(std::chrono::milliseconds limit, Assignment& assignment) = 0;
};

}  // namespace relevo::worker
