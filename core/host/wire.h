/* SPDX-License-Identifier: MIT */
/*
 * What the daemon and its helper say to each other, one datagram a message. Both are the same
 * binary, so the messages are plain structures.
 */
#ifndef PB_HOST_WIRE_H
#define PB_HOST_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"

#define PB_WIRE_ACCESS ((uint32_t)PB_JOB_KIND_COUNT) /* one cycle on a device in doubt */

struct pb_wire_request {
    uint64_t id;
    uint32_t kind; /* enum pb_job_kind, or PB_WIRE_ACCESS */
    uint32_t deadline_ms;
    uint8_t force; /* no bool here: not every byte is one, and any may come */
    struct pb_sbdf sbdf;
    char driver[PB_DRIVER_NAME];
    char method[64];
    /* PB_WIRE_ACCESS */
    uint8_t write;
    uint8_t size;
    uint16_t offset;
    uint32_t value;
    /* PB_JOB_RESET */
    uint32_t settle_ms;
    uint32_t plugin_count;
    uint32_t domid;      /* PB_JOB_KERNEL_STAYS_AWAY */
    uint32_t slot_count; /* PB_JOB_SAVE_SLOTS, PB_JOB_LIST */
    /* Sent only with plugins or slots, see pb_wire_request_size(). */
    struct pb_slot slot[PB_SLOTS_SAVED_MAX];
    struct pb_reset_plugin plugin[PB_JOB_PLUGINS];
    uint16_t image_size; /* 256 or 4096; 0: there is none */
    uint8_t image[PB_CONFIG_SIZE_PCIE];
};

struct pb_wire_reply {
    uint64_t id;
    int32_t rc;
    char reason[240];
    char next[160];
    char driver_before[PB_DRIVER_NAME];
    uint16_t host_command;
    char driver_now[PB_DRIVER_NAME];
    uint32_t value;   /* PB_WIRE_ACCESS */
    uint32_t took_us; /* PB_WIRE_ACCESS: how long the device needed */
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    uint32_t listed_count; /* PB_JOB_REMEMBERED, PB_JOB_LIST */
    struct pb_sbdf listed[PB_LISTED_MAX];
};

/* How much of REQUEST is sent: most have no plugins or slots, and the socket's room is not for
 * their zeros.
 */
size_t pb_wire_request_size(const struct pb_wire_request *request);
/* 1: a request; 0: none now; -EPIPE: the other end is gone, or not our daemon any more. */
int pb_wire_receive_request(int socket_fd, struct pb_wire_request *ret);

/* Sends REPLY, with FD when it is not -1. 0 or negative errno. */
int pb_wire_send_reply(int socket_fd, const struct pb_wire_reply *reply, int fd);
/* 1: a reply; 0: none now; -EPIPE: the other end is gone. *ret_fd is -1 without a descriptor. */
int pb_wire_receive_reply(int socket_fd, struct pb_wire_reply *ret, int *ret_fd);

#endif
