# SPDX-License-Identifier: MIT
pb_unit(policy backend)
pb_unit(journal backend backend/journal_dir.c)
pb_unit(journal_damage backend backend/journal_dir.c)
