/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes whole streams of the toy machine, one per setting of the switches, into a directory. */
#include "toy-sections.h"

#include "fuzz-loadvm.h"

int main(int argc, char **argv)
{
    static const uint8_t uuid[16] = {0};
    MigrationCapabilityChange validate = {MIGRATION_CAP_VALIDATE_UUID, true};

    if (argc != 2) {
        g_printerr("usage: seed-loadvm DIRECTORY\n");
        return 1;
    }
    for (guint8 flags = 0; flags < 4; flags++) {
        g_autoptr(Engine) e = engine_new("none", uuid);
        g_autoptr(ToySections) t = toy_sections_new(e);
        g_autoptr(GByteArray) stream = NULL;
        g_autofree char *path = g_strdup_printf("%s/stream-%u", argv[1], flags);

        toy_sections_fill(t);
        gw_capabilities_set(e->ms, &validate, 1, NULL);
        gw_compat_set(e->ms, "send-section-footer", !(flags & FUZZ_NO_FOOTERS), NULL);
        gw_compat_set(e->ms, "send-configuration", !(flags & FUZZ_NO_CONFIGURATION), NULL);
        stream = toy_stream(e->ms);
        g_byte_array_prepend(stream, &flags, 1);
        if (!g_file_set_contents(path, (char *)stream->data, stream->len, NULL)) {
            g_printerr("seed-loadvm: cannot write %s\n", path);
            return 1;
        }
    }
    return 0;
}
