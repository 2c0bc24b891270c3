/* SPDX-License-Identifier: MIT */
/* What the daemon needs of Xen's devices once it is not root any more. */
#include "xen/xen.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xenctrl.h>

#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

/* The libraries' own, for what we call. Mapping a guest's memory by privcmd is not among them. */
const unsigned long pb_xen_ioctls[] = { IOCTL_EVTCHN_BIND_INTERDOMAIN,
                                        IOCTL_EVTCHN_UNBIND,
                                        IOCTL_EVTCHN_NOTIFY,
                                        IOCTL_EVTCHN_RESET,
                                        IOCTL_GNTDEV_MAP_GRANT_REF,
                                        IOCTL_GNTDEV_UNMAP_GRANT_REF,
                                        IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
                                        IOCTL_GNTDEV_SET_UNMAP_NOTIFY,
                                        IOCTL_PRIVCMD_HYPERCALL,
                                        0 };
