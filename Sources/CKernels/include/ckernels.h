// The inner loops that clang vectorizes and Swift does not: see each file's first lines.
// Every function works on plain arrays, allocates nothing and touches only what it is given.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "attention.h"
#include "axis.h"
#include "coordinate_descent.h"
#include "elementwise.h"
#include "half.h"
#include "low_rank.h"
#include "optimal_partition.h"
#include "optimizer.h"
#include "palette.h"
#include "palette_entries.h"
#include "picture_pixels.h"
#include "planes.h"
#include "pointwise.h"
#include "processor.h"
#include "product.h"
#include "rows.h"
#include "region.h"
#include "soft_assignment.h"
#include "weight_codes.h"
#include "unfold.h"
#include "vector_assignment.h"
#include "winograd.h"
