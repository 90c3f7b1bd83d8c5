// Version, symbol visibility and the namespace of the public API.
//
// Public names live in planish::v1, an inline namespace: write planish::Engine. The version in the
// mangled names lets an old program fail at link time, not at run time, should the interface ever
// change. Planish's own sources define PLANISH_IMPLEMENTATION, because internal types share some
// names; users never do.
#pragma once

#if defined(PLANISH_IMPLEMENTATION)
#define PLANISH_API_NAMESPACE namespace v1
#else
#define PLANISH_API_NAMESPACE inline namespace v1
#endif

#if defined(__GNUC__)
#define PLANISH_API [[gnu::visibility("default")]]
#else
#define PLANISH_API
#endif

namespace planish {
PLANISH_API_NAMESPACE {

// "0.1.0", the version of the library that is loaded (libplanish_runtime).
PLANISH_API const char* version();

}  // namespace v1
}  // namespace planish
