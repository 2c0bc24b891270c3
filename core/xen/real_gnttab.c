/* SPDX-License-Identifier: MIT */
/* The shared page. */
#include "xen/real.h"

#include <sys/mman.h>

#include <xengnttab.h>

/*
 * Without a notification at unmap: the page has no byte that may be cleared when we die, and a
 * guest must not notice a restart.
 */
static int page_map(struct pb_xen *x, uint32_t domid, uint32_t ref, void **ret_page)
{
    void *page = xengnttab_map_grant_ref(pb_real(x)->gnttab, domid, ref, PROT_READ | PROT_WRITE);

    if (!page)
        return pb_real_result(-1);
    *ret_page = page;
    return 0;
}

static int page_unmap(struct pb_xen *x, void *page)
{
    return pb_real_result(xengnttab_unmap(pb_real(x)->gnttab, page, 1));
}

int pb_real_gnttab_open(struct pb_real *r)
{
    r->ops.page_map = page_map;
    r->ops.page_unmap = page_unmap;
    r->gnttab = xengnttab_open(&pb_real_logger, 0);
    return r->gnttab ? 0 : pb_real_result(-1);
}

void pb_real_gnttab_close(struct pb_real *r)
{
    if (r->gnttab)
        (void)xengnttab_close(r->gnttab);
    r->gnttab = NULL;
}
