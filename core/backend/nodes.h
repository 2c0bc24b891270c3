/* SPDX-License-Identifier: MIT */
/* The xenstore nodes of a guest's backend and frontend directories, as libxl and pcifront know
 * them. */
#ifndef PB_BACKEND_NODES_H
#define PB_BACKEND_NODES_H

#include "xen/store.h"

struct pb_guest;
struct pb_device;

/* Both directories from nothing, with permissions; state InitWait so that the kernel looks away. */
void pb_nodes_create(struct pb_store_req *req, const struct pb_guest *g);
/*
 * num_devs and every dev-N, key-N, opts-N, state-N, vdev-N as g->devices has them, in order;
 * removes those of higher numbers up to g->node_count.
 */
void pb_nodes_write_devices(struct pb_store_req *req, const struct pb_guest *g);
/* root_num and root-K of every bus that the guest was told of: none is ever taken back. */
void pb_nodes_write_roots(struct pb_store_req *req, const struct pb_guest *g);
/* Our state; only while our directory is still this guest's (never recreates a removed one). */
void pb_nodes_expect_ours(struct pb_store_req *req, const struct pb_guest *g);
void pb_nodes_write_state(struct pb_store_req *req, const struct pb_guest *g, unsigned state);
/* Removes everything, and empty parents. */
void pb_nodes_remove(struct pb_store_req *req, const struct pb_guest *g);

/* /libxl/pci/BDF: libxl's mark that a device is taken. PATH has room for PB_STORE_PATH_MAX. */
void pb_nodes_reservation_path(const struct pb_device *dev, char *path, size_t size);

#endif
