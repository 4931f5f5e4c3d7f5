#pragma once

#include "protocol/base/time_floor.h"
#include "protocol/catalogue/publication.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// What a member that adopted a publication knows of time: that its making lies in the past. Raises the floor to it, but
// not beyond the end of the member's own certificate: whoever stole a key that signs publications must not make a whole
// fleet believe that it has expired. Logs a disk that did not take it.
void LearnTime(TimeFloor& time, const Identity& self, const Publication& adopted);

}  // namespace tributary
