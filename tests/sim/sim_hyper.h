/* SPDX-License-Identifier: MIT */
/* The hypervisor's view of devices: who owns them, whose interrupts they raise. */
#ifndef SIM_HYPER_H
#define SIM_HYPER_H

#include <stdint.h>

#include "sim_domain.h"
#include "xen/xen.h"

struct sim_world;

int sim_hyper_test(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf);
int sim_hyper_assign(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf);
int sim_hyper_deassign(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf);
int sim_hyper_allow(struct sim_world *w, uint32_t domid, enum sim_permission what, uint64_t first,
                    uint64_t count, bool allow);
int sim_hyper_map_gsi(struct sim_world *w, uint32_t domid, uint32_t gsi);
int sim_hyper_map_msi(struct sim_world *w, uint32_t domid, const struct pb_msi_request *request,
                      uint32_t *ret_pirq);
int sim_hyper_map_multi_msi(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf,
                            unsigned count, uint32_t *ret_first, unsigned *ret_count);
int sim_hyper_unmap_pirq(struct sim_world *w, uint32_t domid, uint32_t pirq);
int sim_hyper_msix_prepare(struct sim_world *w, struct pb_sbdf sbdf);
int sim_hyper_msix_release(struct sim_world *w, struct pb_sbdf sbdf);
int sim_hyper_msi_restore(struct sim_world *w, struct pb_sbdf sbdf);

/* domain_kill: the guest's devices go to quarantine or to dom0; its pirqs stay. */
void sim_hyper_domain_dying(struct sim_world *w, struct sim_domain *dom);
/* The last page is gone: its pirqs are freed now, whoever owns the device meanwhile (H2). */
void sim_hyper_domain_gone(struct sim_world *w, struct sim_domain *dom);

/* Linux tells Xen that a device is gone, or there. */
void sim_hyper_device_removed(struct sim_world *w, struct sim_device *dev);
void sim_hyper_device_added(struct sim_device *dev);

/* What the daemon itself grants: only what the domain owns (H4). */
void sim_hyper_judge_grant(struct sim_world *w, uint32_t domid, enum sim_permission what,
                           struct sim_range range);

/* How many vectors of DEV are mapped, for any domain. */
unsigned sim_hyper_vectors(const struct sim_world *w, const struct sim_device *dev);
/* May DOMID reach any of DEV's registers? */
bool sim_hyper_reachable(const struct sim_world *w, const struct sim_device *dev);

#endif
