// A thread of the emulated GPU: a stack of its own that runs until it waits.
#pragma once
#include <cstddef>
#include <vector>

namespace planish_host {

// Stacks are kept for the next run: a process makes at most as many as its largest cluster has threads.
class Fibers {
 public:
  using Body = void (*)(void*);
  Fibers() = default;
  Fibers(const Fibers&) = delete;
  ~Fibers();

  // Makes `count` fibers that will run body(argument).
  void prepare(size_t count, Body body, void* argument);
  // Runs fiber `i` until it waits or ends; false once it has ended.
  bool resume(size_t i);
  // Called on a fiber: goes back to resume()'s caller.
  void wait();
  size_t current() const { return current_; }
  // Whether a fiber has used more stack than there is (seen after the fact).
  bool overflowed(size_t i) const;

  struct Context;  // of one stack, by platform

 private:
  static void enter();
  std::vector<Context*> contexts_;
  size_t current_ = 0;
  Body body_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace planish_host
