// libpng's interface row by row: its simplified one takes samples of 16 bits as linear and reads them wrongly interlaced.
#pragma once
#include <png.h>
