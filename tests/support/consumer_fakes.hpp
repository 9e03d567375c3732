// The consumer's ports in memory. Thread-safe where threads meet in them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "relevo/core/error.hpp"
#include "relevo/worker/message_source.hpp"
#include "relevo/worker/message_store.hpp"

namespace relevo::test {

// One partition and a group's offset in it; one member at a time.
class FakeTopic {
 public:
  void write(const std::string& key, const std::string& id, const std::string& value) {
    const std::lock_guard lock(mutex_);
    records_.push_back({key, id, value});
  }
  std::int64_t committed() const {
    const std::lock_guard lock(mutex_);
    return committed_;
  }
  // Thrown by the next poll.
  void fail(core::ErrorKind kind) {
    const std::lock_guard lock(mutex_);
    failure_ = kind;
  }
  std::unique_ptr<worker::MessageSource> open() { return std::make_unique<Member>(*this); }

 private:
  struct Stored {
    std::string key, id, value;
  };

  class Member final : public worker::MessageSource {
   public:
    explicit Member(FakeTopic& topic) : topic_(topic) {}

    void poll(std::chrono::milliseconds wait, std::size_t most,
              std::vector<worker::RawRecord>& records, Assignment& assignment) override {
      if (!assigned_) {
        assigned_ = true;
        position_ = topic_.committed();
        next_ = position_;
        assignment.assigned({&partition_, 1});
      }
      std::unique_lock lock(topic_.mutex_);
      if (const auto kind = std::exchange(topic_.failure_, std::nullopt)) {
        throw core::IntegrationError(*kind, "poll", "error of the test");
      }
      bool any = false;
      for (std::size_t i = 0; !paused_ && i < most; ++i) {
        if (position_ >= static_cast<std::int64_t>(topic_.records_.size())) break;
        const auto& stored = topic_.records_[static_cast<std::size_t>(position_)];
        const worker::RecordHeader id{"id", stored.id};
        records.emplace_back(worker::RawRecord::Parts{
            partition_.topic, 0, position_++, stored.key, stored.value, {&id, 1}, {}});
        any = true;
      }
      lock.unlock();
      if (!any)
        std::this_thread::sleep_for(
            std::min<std::chrono::milliseconds>(wait, std::chrono::milliseconds(1)));
    }
    void pause() override { paused_ = true; }
    void resume() override { paused_ = false; }
    void store(const worker::TopicPartition& partition, std::int64_t next) override {
      if (partition == partition_) next_ = std::max(next_, next);
    }
    void commit() override {
      const std::lock_guard lock(topic_.mutex_);
      topic_.committed_ = next_;
    }
    std::int64_t lag() const override {
      const std::lock_guard lock(topic_.mutex_);
      return static_cast<std::int64_t>(topic_.records_.size()) - next_;
    }
    void close(std::chrono::milliseconds, Assignment& assignment) override {
      if (!assigned_) return;
      assignment.revoked({&partition_, 1}, false);
      commit();
    }

   private:
    FakeTopic& topic_;
    const worker::TopicPartition partition_{"fake", 0};
    bool assigned_ = false;
    bool paused_ = false;
    std::int64_t position_ = 0;
    std::int64_t next_ = 0;
  };

  mutable std::mutex mutex_;
  std::vector<Stored> records_;
  std::int64_t committed_ = 0;
  std::optional<core::ErrorKind> failure_;
};

// Inbox, effects and parked messages, changed by commit() only. An effect is the text that a
// handler gives to query().
class FakeDatabase {
 public:
  std::function<void()> before_commit;  // may throw; called without a lock
  std::function<void()> after_commit;   // the same: committed, and the answer is lost
  std::function<void()> before_park;    // may throw: the message is refused, the store not lost
  std::vector<std::string> effects;
  std::set<std::string> inbox;
  std::map<std::int64_t, std::string> parked;  // by offset: class and message
  std::map<std::int64_t, std::vector<worker::FailedAttempt>> attempt_logs;  // of them
  std::optional<worker::ParkedMessage> to_redrive;                          // its id is its offset
  int transactions = 0;
  mutable std::mutex mutex;

  std::vector<std::string> written() const {
    const std::lock_guard lock(mutex);
    return effects;
  }
  std::unique_ptr<worker::MessageStore> open() { return std::make_unique<Store>(*this); }

 private:
  class Store;

  class Transaction final : public worker::MessageTransaction, worker::UnitOfWork {
   public:
    Transaction(FakeDatabase& database, bool& lost) : database_(database), lost_(lost) {}

    worker::UnitOfWork& unit() override { return *this; }
    std::vector<std::string> enter(std::string_view,
                                   std::span<const worker::InboxEvent> events) override {
      const std::lock_guard lock(database_.mutex);
      for (const auto& event : events) {
        if (!database_.inbox.contains(std::string(event.id))) entered_.emplace_back(event.id);
      }
      return entered_;
    }
    void withdraw(std::string_view, const worker::InboxEvent& event) override {
      std::erase(entered_, std::string(event.id));
    }
    std::optional<worker::ParkedMessage> next_redrive(std::string_view) override {
      const std::lock_guard lock(database_.mutex);
      return std::exchange(database_.to_redrive, std::nullopt);
    }
    void remove_parked(std::int64_t) override {}
    void commit() override {
      call(database_.before_commit);
      {
        const std::lock_guard lock(database_.mutex);
        ++database_.transactions;
        database_.inbox.insert(entered_.begin(), entered_.end());
        database_.effects.insert(database_.effects.end(), effects_.begin(), effects_.end());
      }
      call(database_.after_commit);
    }

    std::vector<worker::Row> query(const worker::Statement&,
                                   std::span<const worker::Value> values) override {
      for (const auto& value : values) effects_.push_back(value.value_or(""));
      return {};
    }
    void publish(const worker::NewEvent&) override {}
    worker::JobId enqueue(const worker::NewJob&) override { return 1; }
    void audit(const worker::AuditEntry&) override {}

   private:
    void call(const std::function<void()>& hook) {
      try {
        if (hook) hook();
      } catch (const core::IntegrationError&) {
        lost_ = true;
        throw;
      }
    }

    FakeDatabase& database_;
    bool& lost_;
    std::vector<std::string> entered_;
    std::vector<std::string> effects_;
  };

  class Store final : public worker::MessageStore {
   public:
    explicit Store(FakeDatabase& database) : database_(database) {}

    std::unique_ptr<worker::MessageTransaction> begin() override {
      return std::make_unique<Transaction>(database_, lost_);
    }
    void park(std::string_view, const worker::RawRecord& record, std::optional<std::string_view>,
              const worker::DeadLetter& letter) override {
      if (database_.before_park) database_.before_park();
      keep(record.offset(), letter);
    }
    void park_again(std::int64_t id, const worker::DeadLetter& letter) override {
      keep(id, letter);
    }
    bool lost() const override { return lost_; }

   private:
    void keep(std::int64_t offset, const worker::DeadLetter& letter) {
      const std::lock_guard lock(database_.mutex);
      database_.parked[offset] =
          std::string(letter.error_class) + ": " + std::string(letter.error_message);
      database_.attempt_logs[offset].assign(letter.attempt_log.begin(), letter.attempt_log.end());
    }

    FakeDatabase& database_;
    bool lost_ = false;
  };
};

}  // namespace relevo::test
