// The CBLAS interface of OpenBLAS, and its thread count.
#pragma once
#include <cblas.h>
