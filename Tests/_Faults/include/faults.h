// Nothing of the library is called by a name of its own; see faults.c.
