# SPDX-License-Identifier: MIT
set(device ${CMAKE_CURRENT_SOURCE_DIR}/pci/device.c)
pb_unit(addr pci)
pb_unit(layout pci ${device})
pb_unit(map pci ${device})
pb_unit(baseline pci ${device})
pb_unit(access pci ${device})
pb_unit(effect pci ${device})
pb_unit(advisory pci ${device})
