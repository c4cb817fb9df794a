// Whether this thread is inside a parallel region, so that a nested one runs in line.
#pragma once
#include <stdbool.h>
bool sd_enter_region(void);
void sd_leave_region(void);
