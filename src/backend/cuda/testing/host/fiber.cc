#include "backend/cuda/testing/host/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdlib>

// Changing stacks takes a few instructions on x86-64; ucontext does it everywhere else, and under
// sanitizers, which have to know of it.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PLANISH_SWITCH_STACKS 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef PLANISH_SWITCH_STACKS
#endif
#endif

#ifdef PLANISH_SWITCH_STACKS
extern "C" void planish_switch_stacks(void** save, void* load);
asm(R"(
.text
.p2align 4
.globl planish_switch_stacks
.hidden planish_switch_stacks
.type planish_switch_stacks, @function
planish_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size planish_switch_stacks, .-planish_switch_stacks
)");
#endif

namespace planish_host {
namespace {

constexpr size_t kStackBytes = 192 << 10;
constexpr uint64_t kCanary = 0x5afe57ac5afe57ac;
Fibers* running = nullptr;  // fibers of one Fibers object run at a time

}  // namespace

struct Fibers::Context {
  char* stack = nullptr;
  bool done = false;
#ifdef PLANISH_SWITCH_STACKS
  void *own = nullptr, *caller = nullptr;
#else
  ucontext_t own, caller;
#endif
};

void Fibers::enter() {
  Fibers* self = running;
  self->body_(self->argument_);
  self->contexts_[self->current_]->done = true;
  for (;;) self->wait();
}

Fibers::~Fibers() {
  for (Context* c : contexts_) {
    munmap(c->stack, kStackBytes);
    delete c;
  }
}

void Fibers::prepare(size_t count, Body body, void* argument) {
  body_ = body;
  argument_ = argument;
  while (contexts_.size() < count) {
    auto* c = new Context();
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) std::abort();
    c->stack = static_cast<char*>(stack);
    contexts_.push_back(c);
  }
  for (size_t i = 0; i < count; ++i) {
    Context& c = *contexts_[i];
    c.done = false;
    *reinterpret_cast<uint64_t*>(c.stack) = kCanary;
#ifdef PLANISH_SWITCH_STACKS
    auto** top = reinterpret_cast<void**>(c.stack + kStackBytes - 56);
    *top = nullptr;  // nobody's return address; enter() begins as after a call, 8 bytes off 16
    *--top = reinterpret_cast<void*>(&Fibers::enter);
    c.own = top - 6;  // six saved registers, whatever they hold
#else
    getcontext(&c.own);
    c.own.uc_stack.ss_sp = c.stack;
    c.own.uc_stack.ss_size = kStackBytes;
    c.own.uc_link = nullptr;
    makecontext(&c.own, &Fibers::enter, 0);
#endif
  }
}

bool Fibers::resume(size_t i) {
  running = this;
  current_ = i;
  Context& c = *contexts_[i];
#ifdef PLANISH_SWITCH_STACKS
  planish_switch_stacks(&c.caller, c.own);
#else
  swapcontext(&c.caller, &c.own);
#endif
  return !c.done;
}

void Fibers::wait() {
  Context& c = *contexts_[current_];
#ifdef PLANISH_SWITCH_STACKS
  planish_switch_stacks(&c.own, c.caller);
#else
  swapcontext(&c.own, &c.caller);
#endif
}

bool Fibers::overflowed(size_t i) const {
  return *reinterpret_cast<const uint64_t*>(contexts_[i]->stack) != kCanary;
}

}  // namespace planish_host
