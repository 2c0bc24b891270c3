/* SPDX-License-Identifier: MIT */
/* The public header as C++17, and a plugin in it. */
#include <new>

#include "pcibackd/plugin.h"

namespace {

struct Scratch {
    uint32_t value = 0x1234;
};

const pcibackd_host *host;

int load(const pcibackd_host *services)
{
    host = services;
    return 0;
}

int attach(const pcibackd_device *, void **ret_state)
{
    *ret_state = new (std::nothrow) Scratch;
    return *ret_state ? 0 : -12;
}

void detach(const pcibackd_device *, void *state)
{
    delete static_cast<Scratch *>(state);
}

int on_read(const pcibackd_device *, void *state, pcibackd_access *access)
{
    access->value = static_cast<Scratch *>(state)->value & access->mask;
    return PCIBACKD_PASS;
}

} // namespace

PCIBACKD_PLUGIN = {
    PCIBACKD_PLUGIN_HEAD,
    0, // flags
    "cxx",
    load,
    nullptr, // unload
    attach,
    detach,
    on_read,
    nullptr, // write
    nullptr, // before_reset
    nullptr, // after_reset
    nullptr, // stats
};
