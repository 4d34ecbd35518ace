// Sends and consumes with rocketmq-client-cpp through the C interface of its library:
// librocketmq.so namesrv topic count.

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>

namespace {

// The part of the C interface that is used; the wheel has the library without its headers.
struct SendResult {
  int status;
  char message_id[256];
  long long offset;
};
using Callback = int (*)(void* consumer, void* message);

struct Library {
  void* handle;

  explicit Library(const char* path) : handle(dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
    if (handle == nullptr) throw std::runtime_error(dlerror());
  }

  template <typename F>
  F* get(const char* name) const {
    void* found = dlsym(handle, name);
    if (found == nullptr) throw std::runtime_error(dlerror());
    return reinterpret_cast<F*>(found);
  }

  void* create(const char* name, const std::string& text) const {
    void* made = get<void*(const char*)>(name)(text.c_str());
    if (made == nullptr) throw std::runtime_error(std::string(name) + " gave nothing");
    return made;
  }

  void call(const char* name, void* on) const { check(name, get<int(void*)>(name)(on)); }

  void call(const char* name, void* on, const std::string& text) const {
    check(name, get<int(void*, const char*)>(name)(on, text.c_str()));
  }

  void call(const char* name, void* on, const std::string& a, const std::string& b) const {
    check(name, get<int(void*, const char*, const char*)>(name)(on, a.c_str(), b.c_str()));
  }

  static void check(const char* name, int code) {
    if (code != 0) throw std::runtime_error(std::string(name) + " gave " + std::to_string(code));
  }
};

const char* const TAGS[] = {"TagA", "TagB", "TagC"};
constexpr int TAG_COUNT = 3;
constexpr auto LIMIT = std::chrono::seconds(60);

std::string body(int i) { return "message " + std::to_string(i) + " from C++"; }

void send(const Library& library, const std::string& namesrv, const std::string& topic, int count) {
  void* producer = library.create("CreateProducer", "PG_" + topic);
  library.call("SetProducerNameServerAddress", producer, namesrv);
  library.call("StartProducer", producer);
  for (int i = 0; i < count; i++) {
    void* message = library.create("CreateMessage", topic);
    library.call("SetMessageTags", message, TAGS[i % TAG_COUNT]);
    library.call("SetMessageKeys", message, "key-" + std::to_string(i));
    library.call("SetMessageProperty", message, "number", std::to_string(i));
    library.call("SetMessageBody", message, body(i));
    SendResult result{};
    const int code = library.get<int(void*, void*, SendResult*)>("SendMessageSync")(producer, message, &result);
    Library::check("SendMessageSync", code);
    Library::check("the send status", result.status);
    library.call("DestroyMessage", message);
  }
  library.call("ShutdownProducer", producer);
  library.call("DestroyProducer", producer);
}

// What the callback, which has no argument of ours, works on.
struct Reception {
  const Library* library;
  std::mutex lock;
  std::condition_variable changed;
  std::set<int> seen;
  std::string wrong;
} reception;

std::string text(const char* name, void* message) {
  const char* found = reception.library->get<const char*(void*)>(name)(message);
  return found == nullptr ? "" : found;
}

int on_message(void*, void* message) {
  auto property = reception.library->get<const char*(void*, const char*)>("GetMessageProperty");
  const char* number = property(message, "number");
  const int i = number == nullptr ? -1 : std::atoi(number);
  std::lock_guard<std::mutex> guard(reception.lock);
  const bool right = i >= 0 && i % TAG_COUNT != 2 && text("GetMessageBody", message) == body(i) &&
                     text("GetMessageTags", message) == TAGS[i % TAG_COUNT];
  if (!right || !reception.seen.insert(i).second) {
    reception.wrong = "wrong or repeated: " + std::to_string(i) + " " + text("GetMessageBody", message);
  }
  reception.changed.notify_all();
  return 0;
}

// Receives what has the first two tags, each message once.
size_t receive(const Library& library, const std::string& namesrv, const std::string& topic, int count) {
  size_t expected = 0;
  for (int i = 0; i < count; i++) expected += i % TAG_COUNT != 2;
  reception.library = &library;
  void* consumer = library.create("CreatePushConsumer", "CG_" + topic);
  library.call("SetPushConsumerNameServerAddress", consumer, namesrv);
  library.call("Subscribe", consumer, topic, "TagA || TagB");
  Library::check("RegisterMessageCallback",
                 library.get<int(void*, Callback)>("RegisterMessageCallback")(consumer, on_message));
  library.call("StartPushConsumer", consumer);
  std::unique_lock<std::mutex> guard(reception.lock);
  const auto done = [&] { return reception.seen.size() == expected || !reception.wrong.empty(); };
  const bool in_time = reception.changed.wait_for(guard, LIMIT, done);
  if (!reception.wrong.empty()) throw std::runtime_error(reception.wrong);
  if (!in_time) {
    throw std::runtime_error(std::to_string(reception.seen.size()) + " of " + std::to_string(expected) +
                             " received in time");
  }
  guard.unlock();
  library.call("ShutdownPushConsumer", consumer);
  return expected;
}

}  // namespace

int main(int, char** arguments) {
  try {
    const Library library(arguments[1]);
    const std::string namesrv = arguments[2], topic = arguments[3];
    const int count = std::atoi(arguments[4]);
    send(library, namesrv, topic, count);
    const size_t received = receive(library, namesrv, topic, count);
    std::printf("ok sent %d received %zu\n", count, received);
    std::fflush(stdout);
    std::_Exit(0);
  } catch (const std::exception& error) {
    std::printf("FAIL %s\n", error.what());
    std::fflush(stdout);
    std::_Exit(1);
  }
}
