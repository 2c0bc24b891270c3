/* SPDX-License-Identifier: MIT */
#include "backend/journal.h"

static const char *const found_texts[] = {
#define X(id, help) [PB_JOURNAL_FOUND_##id] = (help),
    PB_JOURNAL_FOUND(X)
#undef X
};

const char *pb_journal_found_text(enum pb_journal_found found)
{
    return found_texts[found];
}

void pb_journal_close(struct pb_journal *j)
{
    (void)j;
}
