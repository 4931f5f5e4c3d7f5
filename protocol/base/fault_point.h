#pragma once

// Named points at which a test can end the process as a power cut would end its writing: between two steps of
// something that must be all or nothing. Builds with the CMake option TRIBUTARY_FAULT_POINTS have them; in production
// builds TRIBUTARY_FAULT_POINT expands to nothing. Two environment variables steer them:
//
//   TRIBUTARY_FAULT=spool.payload.synced:3   SIGKILL at the third time this process passes the point
//   TRIBUTARY_FAULT_TRACE=FILE               appends a line with the point's name at each pass
//
// Names say folder, thing, and the step that was just done. Thread safe.
#ifdef TRIBUTARY_FAULT_POINTS
namespace tributary {
void PassFaultPoint(const char* name);
}  // namespace tributary
#define TRIBUTARY_FAULT_POINT(name) ::tributary::PassFaultPoint(name)
#else
#define TRIBUTARY_FAULT_POINT(name) static_cast<void>(0)
#endif
