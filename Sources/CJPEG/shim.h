// libjpeg-turbo's interface of libjpeg 6.2.
#pragma once
#include <stddef.h>
#include <stdio.h>
#include <jpeglib.h>
