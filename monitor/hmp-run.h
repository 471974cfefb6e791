/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running lines of the human monitor, and the handlers that hmp-commands.c lists. */
#ifndef MONITOR_HMP_RUN_H
#define MONITOR_HMP_RUN_H

#include "hmp.h"
#include "migration/status.h"

/* Runs one line; call->set, out, cpu and can_wait are the caller's. */
void hmp_run(HmpCall *call, const char *line);
/* Every \n as \r\n; caller frees. */
char *hmp_crlf(const char *text);

void hmp_help(HmpCall *call);
void hmp_info(HmpCall *call);

/* cmd-balloon.c */
void hmp_balloon(HmpCall *call);
void hmp_info_balloon(HmpCall *call);
/* cmd-block.c */
void hmp_info_block(HmpCall *call);

/* hmp-memory.c */
void hmp_x(HmpCall *call);
void hmp_xp(HmpCall *call);
void hmp_memsave(HmpCall *call);
void hmp_pmemsave(HmpCall *call);

/* hmp-migration.c */
void hmp_migrate(HmpCall *call);
void hmp_migrate_cancel(HmpCall *call);
void hmp_migrate_continue(HmpCall *call);
void hmp_migrate_incoming(HmpCall *call);
void hmp_migrate_start_postcopy(HmpCall *call);
void hmp_migrate_pause(HmpCall *call);
void hmp_migrate_recover(HmpCall *call);
void hmp_migrate_set_capability(HmpCall *call);
void hmp_migrate_set_parameter(HmpCall *call);

/* hmp-info-migrate.c */
void hmp_info_migrate(HmpCall *call);
void hmp_info_migrate_capabilities(HmpCall *call);
void hmp_info_migrate_parameters(HmpCall *call);
/* "63.5 MiB": three digits that count; caller frees. */
char *hmp_size_text(uint64_t bytes);

/* hmp-info-postcopy.c */
void hmp_put_preempt(HmpCall *call, const MigrationPreemptInfo *p);
void hmp_put_latency(HmpCall *call, const MigrationLatency *l);
void hmp_put_blocktime(HmpCall *call, const MigrationLatency *l);
/* What `info migrate -a` adds: per vCPU, and the histogram as a picture. */
/* What `info migrate -a` says of the downtime. */
void hmp_put_blackout(HmpCall *call, const MigrationInfo *info);
void hmp_put_latency_all(HmpCall *call, const MigrationLatency *l);
/* "317 us": three digits that count; caller frees. */
char *hmp_time_text(uint64_t ns);

/* hmp-dirty-rate.c */
void hmp_calc_dirty_rate(HmpCall *call);
void hmp_info_dirty_rate(HmpCall *call);

/* hmp-estimate.c */
void hmp_migrate_estimate(HmpCall *call);
/* "Expected end: ..." and whether it will converge, of `info migrate`. */
void hmp_put_outlook(HmpCall *call, const MigrationInfo *info);
/* ", ends in 3.2 s" or ", will not converge" or ""; caller frees. */
char *hmp_outlook_text(const MigrationInfo *info);

/* cmd-dirty-limit.c */
void hmp_set_vcpu_dirty_limit(HmpCall *call);
void hmp_cancel_vcpu_dirty_limit(HmpCall *call);
void hmp_info_vcpu_dirty_limit(HmpCall *call);

/* cmd-net.c */
void hmp_set_link(HmpCall *call);
void hmp_announce_self(HmpCall *call);
void hmp_info_network(HmpCall *call);

/* hmp-info.c */
void hmp_info_status(HmpCall *call);
void hmp_info_version(HmpCall *call);
void hmp_info_name(HmpCall *call);
void hmp_info_uuid(HmpCall *call);
void hmp_info_cpus(HmpCall *call);
void hmp_info_kvm(HmpCall *call);
void hmp_info_mtree(HmpCall *call);
void hmp_info_chardev(HmpCall *call);
void hmp_info_memory_size_summary(HmpCall *call);

#endif
