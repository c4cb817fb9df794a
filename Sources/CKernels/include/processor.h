#pragma once

/// The x86-64 level of this processor: 3 with AVX2 and FMA, 4 with AVX-512, 1 below; 0 elsewhere.
int sd_processor_level(void);
