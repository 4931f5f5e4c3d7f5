#pragma once

#include <string_view>

#include "protocol/base/http/http_message.h"

// Errors over HTTP: RFC 9457 problem details, with the stable code names of protocol/base/code.h. For example
//   404, application/problem+json
//   {"type":"urn:tributary:code:unknown-task","title":"There is no such task.","status":404,
//    "detail":"no task 'digits'","code":"unknown-task","remedy":"…","transient":false}
namespace tributary {

int HttpStatusOf(Code code);

// The response for `error`. 401 asks for a bearer token; transient ones say when to come again (Retry-After, seconds).
HttpResponse ProblemOf(const Error& error);
// With a status that says more than the code's.
HttpResponse ProblemOf(const Error& error, int status);

// The error that a response with a status of 400 or more means: the problem's own code when it carries one that this build knows,
// else the nearest code to the status, with the beginning of the body as its message.
Error ErrorOfProblem(int status, std::string_view body);

}  // namespace tributary
