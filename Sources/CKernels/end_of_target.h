// Behind the code for one instruction set, before the next.
#undef BLOCK
#undef STEP
#undef STRIP
#undef STATIC
#undef HIDE
#undef TARGET
#undef NAME
#undef ROWS
#undef TALL
#undef WIDEST
