/* SPDX-License-Identifier: MIT */
/*
 * What a device's profile (quirk/profile.h) means to the machine: which profile it has, the plugins
 * of its guest, and the traits that decide about attaching, resetting and its line.
 */
#ifndef PB_BACKEND_PROFILE_H
#define PB_BACKEND_PROFILE_H

#include "backend/machine.h"

/*
 * Compiles DEV, whose facts are known, under QUIRKS and what the operator says of it. As
 * pb_profile_build; nothing of DEV is changed.
 */
__attribute__((warn_unused_result)) int
pb_profile_of(const struct pb_device *dev, struct pb_quirk_set *quirks,
              const struct pb_device_policy *policy, const struct pb_limits *limits,
              struct pb_profile **ret, char *why, size_t why_size);

/*
 * DEV has PROFILE from now on, and drops the one that it had; takes the reference over (NULL: it
 * has none). Its guest's view and plugins move to it. Never while an access to DEV is under way.
 */
void pb_profile_put(struct pb_device *dev, struct pb_profile *profile);

/* The same now or, while an access to DEV is under way, when pb_profile_settle is called. */
void pb_profile_change(struct pb_device *dev, struct pb_profile *profile);
/* No access to DEV is under way any more: what waited for that takes effect. */
void pb_profile_settle(struct pb_device *dev);

/* What a reload has compiled for DEV is dropped. */
void pb_profile_unprepare(struct pb_device *dev);

/* The guest's plugins start fresh. On an error WHY names the plugin. */
int pb_profile_plug(struct pb_device *dev, char *why, size_t why_size);
/* The guest has the device no more: its plugins let go, and its view is nobody's. */
void pb_profile_unplug(struct pb_device *dev);

/* May it be given to a guest? The configuration beats the quirks. */
struct pb_assign_rule {
    enum pb_assign assign;
    bool by_operator;
    const char *reason; /* "" when nothing was said */
    const char *quirk;  /* that said it; "" the configuration */
};
struct pb_assign_rule pb_profile_assign(const struct pb_device *dev);

/*
 * The methods of a reset of DEV, as sysfs `reset_method` wants them; "": the kernel's order.
 * -ENOTTY: there is none that may be used.
 */
int pb_profile_reset_methods(const struct pb_device *dev, char ret[PB_RESET_METHODS_TEXT]);
/* Those plugins of PROFILE that take part in a reset, into JOB. */
void pb_profile_reset_plugins(const struct pb_profile *profile, struct pb_job *job);
/* May a guest's FLR use METHOD: does the device have it, and is it allowed? */
bool pb_profile_may_reset_by(const struct pb_device *dev, enum pb_reset_method method);
const char *pb_profile_reset_name(enum pb_reset_method method);

/* Does a guest get the device's interrupt line? */
bool pb_profile_line(const struct pb_device *dev);

#endif
