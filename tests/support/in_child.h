#pragma once

#include <functional>
#include <string>

namespace tributary {

// Runs `work` in a forked child, with `name` = `value` in its environment (null: with nothing added). 0 when it came to
// its end, the number of the signal that ended it, or the code that it ended with by itself. What is open here must not
// be used in the child.
int InChild(const char* name, const std::string& value, const std::function<void()>& work);

}  // namespace tributary
