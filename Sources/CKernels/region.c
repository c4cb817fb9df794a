#include "region.h"

static _Thread_local bool inside = false;

bool sd_enter_region(void) {
  if (inside) return false;
  inside = true;
  return true;
}

void sd_leave_region(void) { inside = false; }
