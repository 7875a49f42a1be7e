#include "intake/intake.h"

#include "base/clock.h"

struct channel *intake_channel(struct fiber *self, const struct intake *intake, enum role role)
{
    return intake->patient_until > clock_monotonic() ? peers_wait(self, intake->peers, role, intake->patient_until)
                                                     : peers_get(intake->peers, role);
}
