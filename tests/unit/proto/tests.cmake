pb_unit(pciif proto)
pb_unit(topology proto)
pb_unit(xenbus proto)
