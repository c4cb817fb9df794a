// Behind the code for one instruction set, before the next.
#undef STATIC
#undef UNROLLED
#undef TARGET
#undef NAME
#undef ROWS
#undef WIDEST
