/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "pci/rule.h"

void pb_rules_add(struct pb_rules *rules, const struct pb_rule *rule)
{
    if (rules->count == rules->room) {
        size_t room = rules->room ? 2 * rules->room : 64;
        struct pb_rule *grown = realloc(rules->rule, room * sizeof(*grown));

        if (!grown) {
            rules->no_memory = true;
            return;
        }
        rules->rule = grown;
        rules->room = room;
    }
    rules->rule[rules->count++] = *rule;
}

void pb_rules_fini(struct pb_rules *rules)
{
    free(rules->rule);
    *rules = (struct pb_rules){ 0 };
}

const struct pb_rule *pb_rules_deciding(const struct pb_rules *rules, unsigned offset, unsigned bit)
{
    for (size_t n = rules->count; n > 0; n--) {
        const struct pb_rule *rule = &rules->rule[n - 1];
        uint32_t named = rule->hw | rule->write | rule->w1c | rule->virt | rule->fixed;

        if (offset >= rule->offset && offset < (unsigned)rule->offset + rule->size &&
            (named >> (8 * (offset - rule->offset) + bit) & 1))
            return rule;
    }
    return NULL;
}
